"""The `/live` answer: a snapshot a second and the events between them, for the live page and `userproxy top`.

Owns the pace and the size of what is sent: one page of Services, at most so many events. A snapshot's content is `core.live`'s.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable

import msgspec
from aiohttp import web

import userproxy
from userproxy.admin.server import begin_events, text_response
from userproxy.admin.sources import Sources
from userproxy.admin.wallclock import WallClock
from userproxy.core.counters import PortCounters
from userproxy.core.event_log import EventLog
from userproxy.core.events import Event, LostEvent
from userproxy.core.live import (
    LiveQuery,
    LiveSnapshot,
    ordered,
    page_of,
    parse_live_query,
    port_rows,
)
from userproxy.core.rates import Busy, Sampler
from userproxy.core.status import watch_view
from userproxy.errors import UsageError
from userproxy.model import PortKey, ServiceName

INTERVAL = 1.0
"""Seconds between two snapshots."""
FIRST_INTERVAL = 0.4
"""The first snapshot has no rates, so the second one comes early."""
MAX_EVENTS = 100
"""Events between two snapshots; of more the latest are sent, and how many were left out."""
WRITE_SECONDS = 30.0
"""A reader that takes nothing for so long is gone."""
PIECE = 200
"""Service ports whose counters are read before others get their turn, about a millisecond."""

_PARAMETERS = ("search", "sort", "page", "open")


async def answer_live(
    request: web.BaseRequest,
    sources: Sources,
    clock: WallClock,
    lengthen: Callable[[web.BaseRequest], bool],
) -> web.StreamResponse:
    """Answer `/live`; `lengthen` allows an endless answer, or not when there are too many."""
    query = request.query
    try:
        for name in query:
            if name not in _PARAMETERS:
                raise UsageError(f"{name}: no such parameter; there are {', '.join(_PARAMETERS)}")
        wanted = parse_live_query(
            query.get("search", ""),
            query.get("sort", "name"),
            query.get("page", "0"),
            query.getall("open", ()),
        )
    except UsageError as error:
        return text_response(f"400 {error}\n", 400)
    if not lengthen(request):
        return text_response("503 too many clients follow already; close another page\n", 503)
    response, served = await begin_events(request)
    if request.method != "HEAD":
        await _LiveWriter(response, sources, clock, wanted, served).run()
    return response


class _LiveWriter:
    """One answer under way."""

    def __init__(
        self, response: web.StreamResponse, sources: Sources, clock: WallClock, query: LiveQuery, served: bool
    ) -> None:
        self._response = response
        self._sources = sources
        self._clock = clock
        self._query = query
        self._served = served
        self._sampler = Sampler()
        self._found: list[ServiceName] = []
        self._services = 0
        self._as_of = -1
        self._number = 0

    async def run(self) -> None:
        """Write until the connection ends."""
        async with self._sources.observers.reading() as log:
            self._number = max(log.first, log.added - MAX_EVENTS)
            wait = FIRST_INTERVAL
            while True:
                started = time.monotonic()
                await self._write("snapshot", msgspec.json.encode(await self._snapshot()))
                if self._served:
                    await self._write_events(log)
                pause, wait = wait, INTERVAL
                await asyncio.sleep(max(0.05, started + pause - time.monotonic()))

    async def _snapshot(self) -> LiveSnapshot:
        sources, sampler = self._sources, self._sampler
        busy: dict[PortKey, PortCounters] = {}
        sampler.begin(time.monotonic())
        for number, (key, counters) in enumerate(sources.busy(), 1):
            busy[key] = counters
            sampler.add(key, counters)
            if number % PIECE == 0:
                await asyncio.sleep(0)
        sampler.end()
        now = time.monotonic()
        self._find()
        names, page, pages = page_of(ordered(self._found, self._query, sampler.rates, busy), self._query.page)
        verdict = sources.health(now)
        reasons = sources.readiness()
        return LiveSnapshot(
            time=self._clock.at(now),
            started=self._clock.at(sources.started),
            version=userproxy.__version__,
            ready=not reasons,
            healthy=verdict.healthy,
            waiting_for=reasons,
            capture=sources.capture(),
            workers=sources.workers(),
            watches=tuple(watch_view(state, now) for state in sources.watches()),
            warnings=sources.warnings(),
            without_endpoints=sum(1 for _ in sources.no_endpoints()),
            interval=round(sampler.interval, 3),
            rates=sampler.total,
            accepted=_total(busy, "accepted"),
            failed=_total(busy, "failed"),
            p50=sampler.p50,
            p99=sampler.p99,
            services=self._services,
            found=len(self._found),
            page=page,
            pages=pages,
            rows=port_rows(sources.views(names, busy), sampler.rates, self._query.opened),
        )

    def _find(self) -> None:
        """Search again when Services have changed: to look through ten thousand takes some milliseconds."""
        changes = self._sources.sync().service_changes
        if changes != self._as_of:
            self._as_of = changes
            every = self._sources.find("")
            self._services = len(every)
            self._found = self._sources.find(self._query.search) if self._query.search else every

    async def _write_events(self, log: EventLog) -> None:
        skipped = max(0, log.added - self._number - MAX_EVENTS)
        events, self._number, missed = log.read(self._number + skipped, MAX_EVENTS)
        found: list[Event] = list(events)
        if skipped + missed:
            found.insert(0, LostEvent(time=self._clock.at(time.monotonic()), count=skipped + missed))
        if found:
            await self._write("events", msgspec.json.encode(found))

    async def _write(self, name: str, data: bytes) -> None:
        text = b"event: %s\ndata: %s\n\n" % (name.encode(), data) if self._served else data + b"\n"
        async with asyncio.timeout(WRITE_SECONDS):
            await self._response.write(text)


def _total(busy: Busy, name: str) -> int:
    return sum(getattr(one, name) for one in busy.values())
