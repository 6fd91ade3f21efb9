"""Sets of fields of an object, as server-side apply names them: written as FieldsV1, read from it, shown to people.

Owns the paths. Which of them an object has is told by `leaves`, who owns which set by `ownership`, what follows for a write by
`applying`. Source: the structured-merge-diff library, `fieldpath` and `typed`.
"""

from __future__ import annotations

import functools
import json
from collections.abc import Iterable
from typing import Any, TypeAlias

import msgspec

from userproxy.standalone.objects import Json
from userproxy.standalone.schema import Shape

Path: TypeAlias = tuple[str, ...]
"""Steps from the object: `f:name` into a field or map key, `k:{...}` to a list item by its keys, `v:...` to a set item.
A last step `.` is the map or list item itself."""

SELF = "."
_DEFAULT_KEYS = {"protocol": "TCP"}


def item_step(item: Json, shape: Shape) -> str:
    """Return the step to an item of a list with keys; a key that is not given counts as its default."""
    keys = shape.list_keys
    values = tuple([item.get(key, _DEFAULT_KEYS.get(key)) for key in keys])
    try:
        return _item_step(keys, values)
    except TypeError:  # a key that is no scalar
        return _item_step.__wrapped__(keys, values)


@functools.lru_cache(maxsize=4096, typed=True)
def _item_step(keys: tuple[str, ...], values: tuple[Any, ...]) -> str:
    return f"k:{compact(dict(sorted(zip(keys, values, strict=True))))}"


def step_keys(step: str) -> Json:
    """Return the keys of a step to a list item."""
    keys: Json = json.loads(step.removeprefix("k:"))
    return keys


def compact(value: Any) -> str:
    """Return a value as a step holds it."""
    return msgspec.json.encode(value).decode()


def without_containers(paths: Iterable[Path]) -> set[Path]:
    """Return paths less maps and lists themselves: who applies owns what is in them, not them."""
    return {path for path in paths if path[-1] != SELF or path[-2].startswith("k:")}


_OWNERS: Path = ("f:metadata", "f:ownerReferences", SELF)
_OWNER_STEP = 'k:{"uid":'
_ANY_OWNER = 'k:{"uid":"..."}'


def to_fields_v1(paths: frozenset[Path]) -> Json:
    """Return FieldsV1 of paths, sorted as a real server sorts them; it is shared and must not be changed.

    Objects of one kind that one client makes mostly have the same fields, but for the uid of their owner.
    """
    if _OWNERS not in paths:
        return _fields_v1(paths)
    owners = [path for path in paths if len(path) > 2 and path[2].startswith(_OWNER_STEP)]
    if len(owners) != 1:
        return _fields_v1(paths)
    (owned,) = owners
    alike = _fields_v1(paths - {owned} | {(*owned[:2], _ANY_OWNER, *owned[3:])})
    outer, inner = alike[owned[0]], alike[owned[0]][owned[1]]
    own = {(owned[2] if step == _ANY_OWNER else step): fields for step, fields in inner.items()}
    return {**alike, owned[0]: {**outer, owned[1]: own}}


@functools.lru_cache(maxsize=1024)
def _fields_v1(paths: frozenset[Path]) -> Json:
    root: Json = {}
    for path in paths:
        node = root
        for step in path:
            node = node.setdefault(step, {})
    made = _sorted(root)
    if len(_MADE) >= _MOST_MADE:
        _MADE.clear()
    _MADE[id(made)] = (made, paths)
    return made


def _sorted(node: Json) -> Json:
    return {step: _sorted(node[step]) for step in sorted(node, key=_step_order)}


def _step_order(step: str) -> tuple[Any, ...]:
    if step.startswith("k:"):
        values = step_keys(step).values()
        return (1, *((isinstance(value, str), value) for value in values))
    return (0, step)


_MOST_MADE = 2048
_MADE: dict[int, tuple[Json, frozenset[Path]]] = {}
"""FieldsV1 that was made here, by its id: most of what is read comes back as it was made."""


def from_fields_v1(fields: Any) -> frozenset[Path]:
    """Return the paths of FieldsV1; what is no such document gives nothing."""
    made = _MADE.get(id(fields))
    if made is not None and made[0] is fields:
        return made[1]
    found: set[Path] = set()
    _walk(fields, (), found)
    return frozenset(found)


def _walk(node: Any, path: Path, found: set[Path]) -> None:
    if not isinstance(node, dict) or len(path) > 64:
        return
    if not node and path:
        found.add(path)
    for step, child in node.items():
        if step == SELF or step.startswith(("f:", "v:")) or (step.startswith("k:") and _is_keys(step)):
            _walk(child, (*path, step), found)


def _is_keys(step: str) -> bool:
    try:
        return isinstance(json.loads(step.removeprefix("k:")), dict)
    except ValueError:
        return False


def shown(path: Path) -> str:
    """Return a path as conflicts name it, such as `.spec.ports[port=80,protocol="TCP"].targetPort`."""
    text = ""
    for step in path:
        if step.startswith("f:"):
            text += f".{step[2:]}"
        elif step.startswith("k:"):
            text += "[" + ",".join(f"{key}={compact(value)}" for key, value in step_keys(step).items()) + "]"
        elif step.startswith("v:"):
            text += f"[={step[2:]}]"
    return text
