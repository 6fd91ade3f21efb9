"""Removes what has had its time: Pods whose grace after deletion has passed, and Events that nobody repeated for an hour.

The first is a kubelet's duty once the containers have stopped; none is run here, and until then the Pod counts as terminating.
The second is the server's (`--event-ttl` of kube-apiserver).
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Callable

from userproxy.standalone.deletion import DeleteOptions
from userproxy.standalone.kinds import EVENT, POD
from userproxy.standalone.objects import Json, parse_timestamp
from userproxy.standalone.registry import Registry
from userproxy.standalone.statuses import Refusal
from userproxy.standalone.store import Event

log = logging.getLogger(__name__)

_LONGEST_WAIT = 60.0
"""Seconds between looks when nothing is due; the wall clock may be set meanwhile."""


class PodReaper:
    """Follows the Pods of a registry while `run` runs."""

    def __init__(self, registry: Registry) -> None:
        self._registry = registry
        self._wake = asyncio.Event()

    async def run(self) -> None:
        """Remove Pods as they come due, until cancelled."""
        leave = self._registry.store.subscribe(POD, self._on_event)
        try:
            while True:
                self._wake.clear()
                wait = self._remove_due(time.time())
                try:
                    async with asyncio.timeout(wait):
                        await self._wake.wait()
                except TimeoutError:
                    pass
        finally:
            leave()

    def _on_event(self, event: Event) -> None:
        if event.current is not None and _due(event.current) is not None:
            self._wake.set()

    def _remove_due(self, now: float) -> float:
        """Remove what is due and return the seconds until something may be due again."""
        wait = _LONGEST_WAIT
        for key, item in list(self._registry.store.items(POD)):
            due = _due(item)
            if due is None:
                continue
            if due > now:
                wait = min(wait, due - now)
                continue
            metadata = item["metadata"]
            try:
                now_or_never = DeleteOptions(uid=metadata["uid"], grace=0)
                self._registry.delete(POD, metadata["namespace"], metadata["name"], now_or_never)
            except Refusal as refused:
                log.warning("Pod %s cannot be removed after its grace: %s", key, refused)
        return wait


def _due(item: Json) -> float | None:
    """Return the Unix time at which a Pod goes, None when it is not deleted or finalizers hold it."""
    metadata = item["metadata"]
    if "deletionTimestamp" not in metadata or metadata.get("finalizers"):
        return None
    return parse_timestamp(metadata["deletionTimestamp"])


EVENT_LIFE = 3600.0
"""Seconds that an Event stays after its last write, as at a real server."""


class EventReaper:
    """Removes old Events while `run` runs. `now` gives Unix time in seconds."""

    def __init__(self, registry: Registry, now: Callable[[], float] = time.time) -> None:
        self._registry = registry
        self._now = now

    async def run(self) -> None:
        """Remove Events as they come due, until cancelled."""
        while True:
            self.remove_due()
            await asyncio.sleep(_LONGEST_WAIT)

    def remove_due(self) -> None:
        """Remove all Events whose time has passed."""
        bound = self._now() - EVENT_LIFE
        for key, item in list(self._registry.store.items(EVENT)):
            if _last_told(item) < bound:
                self._registry.store.delete(EVENT, key)


def _last_told(item: Json) -> float:
    """Return the Unix time when an Event was last written, as far as it tells."""
    times = [item["metadata"]["creationTimestamp"], item.get("lastTimestamp"), item.get("eventTime")]
    times.append((item.get("series") or {}).get("lastObservedTime"))
    told = [0.0]
    for text in times:
        try:
            told.append(parse_timestamp(text or ""))
        except ValueError:
            continue
    return max(told)
