"""When did what we are about to write change? The annotation that lets others measure how long programming takes.

Owns the memory that this needs: the last change seen of each Service and of its Pods. Source:
`k8s.io/endpointslice/util/trigger_time_tracker.go`. One tracker for each controller, since each syncs by itself.
"""

from __future__ import annotations

import functools
from collections.abc import Iterable

import msgspec

from userproxy.standalone.controllers.pods import ready_since
from userproxy.standalone.objects import Json, parse_timestamp

_LONGEST = 64
"""Letters of a time."""


class _Seen(msgspec.Struct):
    pods: dict[str, str]
    service: str


class TriggerTimes:
    """Remembers, for each Service, the changes that were accounted for."""

    def __init__(self) -> None:
        self._seen: dict[str, _Seen] = {}

    def forget(self, key: str) -> None:
        """Drop a Service that is gone."""
        self._seen.pop(key, None)

    def next(self, key: str, service: Json, pods: Iterable[Json]) -> str:
        """Return the earliest change (RFC 3339) since the last call, empty for none; creation time at the first."""
        created = service["metadata"].get("creationTimestamp", "")
        seen = self._seen.get(key)
        now = {pod["metadata"]["name"]: ready_since(pod) for pod in pods}
        self._seen[key] = _Seen(now, created)
        if seen is None:
            return str(created)
        changed = [since for name, since in now.items() if _later(since, seen.pods.get(name, ""))]
        if _later(created, seen.service):
            changed.append(created)
        return min(changed, key=_seconds, default="")


def _later(text: str, than: str) -> bool:
    return bool(text) and text != than and _seconds(text) > _seconds(than)


def _seconds(text: str) -> float:
    return _parsed(text) if len(text) <= _LONGEST else 0.0


@functools.lru_cache(maxsize=1024)
def _parsed(text: str) -> float:
    try:
        return parse_timestamp(text)
    except ValueError:
        return 0.0
