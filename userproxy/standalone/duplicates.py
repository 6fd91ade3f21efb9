"""Fields that a JSON text gives twice: decoders take the last one in silence, a real API server names them.

Owns finding them. What becomes of them (refusal, warning, nothing) is decided in `decoding`.
"""

from __future__ import annotations

import json
from typing import Any

import msgspec

_MOST = 20
"""Fields that are named; a hostile body could hold a million."""


class _Pairs(list[tuple[str, Any]]):
    """An object as its pairs, so that it is told from an array."""


def duplicate_fields(text: bytes, value: Any) -> tuple[str, ...]:
    """Return paths such as `spec.ports[0].port`; empty for text that is no JSON, which others refuse.

    `value` is what the text was decoded to.
    """
    if _is_all_of(text, value):
        return ()
    seen = False

    def look(pairs: list[tuple[str, Any]]) -> None:
        nonlocal seen
        seen = seen or len(dict(pairs)) != len(pairs)

    try:
        json.loads(text, object_pairs_hook=look)
        if not seen:
            return ()
        found: list[str] = []
        _collect(json.loads(text, object_pairs_hook=_Pairs), "", found)
    except (ValueError, RecursionError):
        return ()
    return tuple(found)


def _is_all_of(text: bytes, value: Any) -> bool:
    """Return whether a text, but for its spaces, is what its value is encoded to, so that nothing in it was lost."""
    try:
        return msgspec.json.format(text, indent=-1) == msgspec.json.encode(value)
    except (msgspec.MsgspecError, RecursionError):
        return False


def _collect(value: Any, path: str, found: list[str]) -> None:
    if isinstance(value, _Pairs):
        names: set[str] = set()
        for name, item in value:
            place = f"{path}.{name}" if path else name
            if name in names and place not in found and len(found) < _MOST:
                found.append(place)
            names.add(name)
            _collect(item, place, found)
    elif isinstance(value, list):
        for index, item in enumerate(value):
            _collect(item, f"{path}[{index}]", found)
