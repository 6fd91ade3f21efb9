"""The `/events` answer: events that match the query, as JSON lines or server-sent events, and with `follow` those to come.

Owns the query and the pace: a reader is sent what it takes, and one that is slower than the ring turns is told how many events
it missed. What an event is, and what matches, is `core`'s.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Iterable
from datetime import UTC, datetime, timedelta

import msgspec
from aiohttp import web
from multidict import MultiMapping

from userproxy.admin.observers import Observers
from userproxy.admin.server import begin_events, text_response
from userproxy.core.event_filter import EventFilter, make_filter
from userproxy.core.event_log import EventLog
from userproxy.core.events import Event, LostEvent, encode_event
from userproxy.errors import UsageError

LOOK_SECONDS = 0.2
"""Between two looks for new events; workers report them four times a second."""
BEAT_SECONDS = 15.0
"""After so long without an event an empty line (or comment) shows that the connection lives."""
WRITE_SECONDS = 30.0
"""A reader that takes nothing for so long is gone."""
BATCH = 256
"""Events handled before others get their turn."""

_REPEATED = ("service", "endpoint", "client", "verdict")
_SINGLE = ("namespace", "since", "last", "follow")


class EventQuery(msgspec.Struct, frozen=True):
    """What a reader asks for."""

    wanted: EventFilter
    follow: bool
    last: int | None
    """how many of the past at most; None: all that are kept"""


def parse_query(query: MultiMapping[str], now: datetime) -> EventQuery:
    """Return what a query means. Raises UsageError."""
    for name in query:
        if name not in _REPEATED and name not in _SINGLE:
            raise UsageError(f"{name}: no such parameter; there are {', '.join(_SINGLE + _REPEATED)}")
    age, last = _number(query, "since"), _number(query, "last")
    follow = query.get("follow", "false").lower()
    if follow not in ("", "1", "true", "0", "false"):
        raise UsageError(f"follow: {follow!r} is neither true nor false")
    return EventQuery(
        make_filter(
            namespace=query.get("namespace", ""),
            services=query.getall("service", ()),
            endpoints=query.getall("endpoint", ()),
            clients=query.getall("client", ()),
            verdicts=query.getall("verdict", ()),
            since=None if age is None else now - timedelta(seconds=age),
        ),
        follow in ("", "1", "true"),
        None if last is None else int(last),
    )


async def answer_events(
    request: web.BaseRequest, observers: Observers, lengthen: Callable[[web.BaseRequest], bool]
) -> web.StreamResponse:
    """Answer `/events`; `lengthen` allows an endless answer, or not when there are too many."""
    if not observers.log.size:
        return text_response("404 events are not kept: --observe-events is 0\n", 404)
    try:
        query = parse_query(request.query, datetime.now(UTC))
    except UsageError as error:
        return text_response(f"400 {error}\n", 400)
    if query.follow and not lengthen(request):
        return text_response("503 too many clients follow already; end one, or ask without follow\n", 503)
    response, served = await begin_events(request)
    if request.method != "HEAD":
        await _EventWriter(response, query, served).run(observers)
        await response.write_eof()
    return response


class _EventWriter:
    """One answer under way."""

    def __init__(self, response: web.StreamResponse, query: EventQuery, served: bool) -> None:
        self._response = response
        self._query = query
        self._served = served
        self._number = 0

    async def run(self, observers: Observers) -> None:
        """Write what is asked for; ends with the past, or with the connection."""
        async with observers.reading() as log:
            await self._write(await self._past(log))
            beat = time.monotonic() + BEAT_SECONDS
            while self._query.follow:
                events, self._number, missed = log.read(self._number, BATCH)
                if missed:
                    await self._write([LostEvent(time=datetime.now(UTC), count=missed)])
                if found := [event for event in events if self._query.wanted.matches(event)]:
                    await self._write(found)
                    beat = time.monotonic() + BEAT_SECONDS
                elif time.monotonic() >= beat:
                    beat = time.monotonic() + BEAT_SECONDS
                    await self._send(b":\n\n" if self._served else b"\n")
                await asyncio.sleep(0 if len(events) == BATCH else LOOK_SECONDS)

    async def _past(self, log: EventLog) -> list[Event]:
        """Return what is kept and asked for, in the order of time: workers deliver theirs one after the other."""
        self._number = log.first
        found: list[Event] = []
        while self._number < log.added:
            events, self._number, _ = log.read(self._number, BATCH)
            found.extend(event for event in events if self._query.wanted.matches(event))
            await asyncio.sleep(0)
        found.sort(key=lambda event: event.time)
        last = self._query.last
        return found if last is None else found[max(0, len(found) - last) :]

    async def _write(self, events: Iterable[Event]) -> None:
        lines = [encode_event(event) for event in events]
        for start in range(0, len(lines), BATCH):
            part = lines[start : start + BATCH]
            await self._send(
                b"".join(b"data: " + line + b"\n\n" if self._served else line + b"\n" for line in part)
            )

    async def _send(self, data: bytes) -> None:
        async with asyncio.timeout(WRITE_SECONDS):
            await self._response.write(data)


def _number(query: MultiMapping[str], name: str) -> float | None:
    text = query.get(name)
    if text is None:
        return None
    try:
        value = float(text) if name == "since" else int(text)
        if not 0 <= value < 1e10:
            raise ValueError(text)
    except ValueError:
        unit = " of seconds" if name == "since" else ""
        raise UsageError(f"{name}: {text!r} is not a number{unit}") from None
    return value
