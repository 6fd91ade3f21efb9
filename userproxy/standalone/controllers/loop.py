"""The controllers at work: changes come in, the Services they matter to are decided anew, writes go out.

Owns order, retries and the memory of trigger times. Each decision starts from the newest state, so a change is never lost:
a Service that changes while it is written is decided once more.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import time
from collections.abc import AsyncIterator, Callable, Iterable, Iterator

import msgspec

from userproxy.standalone.controllers import endpoints, garbage, mirroring, slices
from userproxy.standalone.controllers.cluster import Cluster, WriteFailed
from userproxy.standalone.controllers.services import selector_of
from userproxy.standalone.controllers.state import Settings, State, Write
from userproxy.standalone.controllers.triggers import TriggerTimes
from userproxy.standalone.controllers.view import View
from userproxy.standalone.kinds import ENDPOINT_SLICE, ENDPOINTS, SERVICE, Kind
from userproxy.standalone.objects import Json, key_of
from userproxy.standalone.recording import Notice, Recorder

log = logging.getLogger(__name__)

_FIRST_DELAY, _LONGEST_DELAY = 0.1, 60.0
"""Seconds before a failed Service is tried again; doubled each time."""
_LONGEST_PAUSE = 0.02
"""Seconds between two rounds under load, so that changes of one Service come together."""
_WRITTEN = (ENDPOINTS, ENDPOINT_SLICE)
_TURN = 16
"""Services decided before others of this process get their turn."""

_Version = tuple[Kind, str, str]
"""Kind, key and resourceVersion of one state of an object; no version for its end."""
Decide = Callable[[State, Settings], list[Write]]


class Controllers:
    """Keeps EndpointSlices and Endpoints of a cluster right, within a `following` block.

    `clock` gives monotonic seconds and `workers` bounds the Services written at a time.
    """

    def __init__(
        self,
        cluster: Cluster,
        settings: Settings | None = None,
        *,
        clock: Callable[[], float] = time.monotonic,
        workers: int = 1,
    ) -> None:
        self._cluster = cluster
        self._settings = settings or Settings()
        self._clock = clock
        self._workers = workers
        self._recorder = Recorder(cluster, "kube-controller-manager", clock=clock)
        self._view = View()
        self._dirty: dict[str, None] = {}
        self._retries: dict[str, tuple[int, float]] = {}
        self._ended: set[str] = set()
        # versions of slices and Endpoints that came while their Service was being written; ours are taken out again
        self._meanwhile: dict[str, set[_Version]] = {}
        self._wake = asyncio.Event()
        deciding: tuple[Decide, ...] = (endpoints.decide, slices.decide)
        self._triggers = {decide: TriggerTimes() for decide in deciding}

    @contextlib.asynccontextmanager
    async def following(self) -> AsyncIterator[None]:
        """Take in what exists, then follow changes while the block lasts. `settle` or `run` act on them."""
        async with self._cluster.follow(self._deliver):
            yield

    async def run(self) -> None:
        """Act on changes until cancelled."""
        while True:
            began = self._clock()
            await self.settle()
            await asyncio.sleep(min(self._clock() - began, _LONGEST_PAUSE))
            try:
                async with asyncio.timeout(self._next_retry()):
                    await self._wake.wait()
            except TimeoutError:
                pass
            # whoever was woken by the same change, such as the prober, completes it first
            await asyncio.sleep(0)

    async def settle(self) -> None:
        """Act on all changes so far, and on those that come meanwhile; failures wait for their next time."""
        now = self._clock()
        for key, (_attempts, due) in self._retries.items():
            if due <= now:
                self._dirty[key] = None
        while self._dirty:
            batch = list(self._dirty)
            self._dirty.clear()
            self._wake.clear()
            if self._workers == 1:
                await self._work(iter(batch))
            else:
                queue = iter(batch)
                async with asyncio.TaskGroup() as group:
                    for number in range(min(self._workers, len(batch))):
                        group.create_task(self._work(queue), name=f"controllers {number}")
        self._wake.clear()

    async def _work(self, queue: Iterator[str]) -> None:
        for done, key in enumerate(queue, 1):
            await self._sync(key)
            if done % _TURN == 0:
                await asyncio.sleep(0)

    # ---- changes ---------------------------------------------------------------------------------------------

    def _deliver(self, kind: Kind, key: str, current: Json | None) -> None:
        known = self._view.get(kind, key)
        if current is not None and known is not None and _is_old(current, known):
            return
        affected = self._view.apply(kind, key, current)
        if kind is SERVICE and current is None:
            self._ended.add(key)
        if kind in _WRITTEN:
            for service in affected & self._meanwhile.keys():
                self._meanwhile[service].add((kind, key, _version(current)))
            affected -= self._meanwhile.keys()
        self._mark(affected)

    def _mark(self, keys: Iterable[str]) -> None:
        for key in keys:
            self._dirty[key] = None
            self._wake.set()

    def _next_retry(self) -> float | None:
        """Return the seconds until a failed Service is due, None when there is none."""
        due = min((due for _attempts, due in self._retries.values()), default=None)
        return None if due is None else max(0.0, due - self._clock())

    # ---- one Service -----------------------------------------------------------------------------------------

    async def _sync(self, key: str) -> None:
        """Decide one name and write; what fails is tried again later."""
        self._meanwhile[key] = set()
        try:
            state = self._view.state(key)
            deciding: Decide = endpoints.decide
            for decide in (endpoints.decide, slices.decide, mirroring.decide, garbage.decide):
                deciding = decide
                writes = decide(self._with_time(key, state, decide), self._settings)
                for write in writes:
                    await self._write(key, write)
                if writes and decide is mirroring.decide:
                    for notice in mirroring.notices(state, self._settings):
                        await self._recorder.record(notice)
                if writes:
                    state = self._view.again(key, state)
        except WriteFailed as fault:
            attempts = self._retries.get(key, (0, 0.0))[0] + 1
            delay = min(_FIRST_DELAY * 2 ** (attempts - 1), _LONGEST_DELAY)
            self._retries[key] = (attempts, self._clock() + delay)
            log.warning("endpoints of Service %s: %s; tried again in %.1f s", key, fault, delay)
            failure = _failure(state, deciding, fault)
            if failure is not None:
                await self._recorder.record(failure)
        else:
            self._retries.pop(key, None)
            self._ended.discard(key)
        finally:
            if self._meanwhile.pop(key):
                self._mark([key])

    def _with_time(self, key: str, state: State, decide: Decide) -> State:
        tracker = self._triggers.get(decide)
        if tracker is None:
            return state
        if state.service is None:
            tracker.forget(key)
            return msgspec.structs.replace(state, ended=key in self._ended)
        if selector_of(state.service) is None:
            return state
        return msgspec.structs.replace(state, trigger_time=tracker.next(key, state.service, state.pods))

    async def _write(self, key: str, write: Write) -> None:
        if write.action == "delete":
            await self._cluster.delete(write.kind, write.item)
            self._took(key, write.kind, key_of(write.item), None)
            return
        act = self._cluster.create if write.action == "create" else self._cluster.replace
        stored = await act(write.kind, write.item)
        self._took(key, write.kind, key_of(stored), stored)

    def _took(self, service: str, kind: Kind, key: str, stored: Json | None) -> None:
        """Know at once what we wrote: the event that tells it may come later, or has come already."""
        self._meanwhile[service].discard((kind, key, _version(stored)))
        known = self._view.get(kind, key)
        if stored is None or known is None or not _is_old(stored, known):
            self._view.apply(kind, key, stored)


def _failure(state: State, decide: Decide, fault: WriteFailed) -> Notice | None:
    """Return what to tell about a failed write, None when the object that it is about is gone."""
    name = f"{state.namespace}/{state.name}"
    if decide is endpoints.decide:
        if state.endpoints is not None:
            text = f"Failed to update endpoint {name}: {fault}"
            return Notice(state.endpoints, "FailedToUpdateEndpoint", text)
        text = f"Failed to create endpoint for service {name}: {fault}"
        return None if state.service is None else Notice(state.service, "FailedToCreateEndpoint", text)
    mirroring_failed = decide is mirroring.decide
    about = state.endpoints if mirroring_failed else state.service
    what = "Endpoints" if mirroring_failed else "Service"
    text = f"Error updating Endpoint Slices for {what} {name}: {fault}"
    return None if about is None else Notice(about, "FailedToUpdateEndpointSlices", text)


def _version(item: Json | None) -> str:
    return "" if item is None else str(item["metadata"]["resourceVersion"])


def _is_old(item: Json, known: Json) -> bool:
    """Return whether a state is not newer than the one that is known (versions are ordered numbers, KEP-5504)."""
    new, old = item["metadata"], known["metadata"]
    if new["uid"] != old["uid"]:
        return False
    try:
        return int(new["resourceVersion"]) <= int(old["resourceVersion"])
    except ValueError:
        return bool(new["resourceVersion"] == old["resourceVersion"])
