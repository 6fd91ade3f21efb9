"""`/events` over real HTTP: the past, what follows, filters, both formats, slow readers and too many of them."""

from __future__ import annotations

import asyncio
from contextlib import AbstractAsyncContextManager
from datetime import UTC, datetime

import pytest
from multidict import MultiDict

from tests.admin.build import LOOPBACK, Records, Server, ask, flow, observers, open_stream, running, sources
from tests.dataplane.rig import until
from userproxy.admin import events as events_module
from userproxy.admin.events import parse_query
from userproxy.admin.metrics import MetricsServer
from userproxy.admin.observers import Observers
from userproxy.admin.server import Limits
from userproxy.core.events import ConnectionEvent, LostEvent, decode_event
from userproxy.core.flows import Outcome
from userproxy.errors import UsageError


def serving(observed: Observers, **chosen: object) -> MetricsServer:
    return MetricsServer(LOOPBACK, sources(observers=observed), **chosen)


def following(
    server: Server, query: str = "", accept: str = "*/*"
) -> AbstractAsyncContextManager[asyncio.StreamReader]:
    return open_stream(server, f"/events?follow=true{query}", accept)


async def service_of_next(reader: asyncio.StreamReader) -> str:
    async with asyncio.timeout(5):
        event = decode_event(await reader.readline())
    assert isinstance(event, ConnectionEvent)
    return event.service


async def test_the_past_comes_in_the_order_of_time_and_ends() -> None:
    records = Records([flow("second", -1), flow("third"), flow("first", -2)])
    async with running(serving(observers(records))) as server:
        answer = await ask(server, "/events")
        last = await ask(server, "/events?last=1")
        none = await ask(server, "/events?last=0")
    assert (answer.status, answer.headers["content-type"]) == (200, "application/x-ndjson")
    assert answer.headers["cache-control"] == "no-store"
    services = [decode_event(line).service for line in answer.body.splitlines()]  # type: ignore[union-attr]
    assert services == ["first", "second", "third"]
    assert last.body == answer.body.splitlines(keepends=True)[-1]
    assert none.body == b""
    assert records.deliver is None


async def test_filters_hold_for_the_past_and_for_what_follows() -> None:
    records = Records([flow("web"), flow("dns"), flow("old", -100)])
    async with running(serving(observers(records))) as server:
        query = "&service=web&service=old&verdict=closed&client=10.0.0.0/24&since=50"
        async with following(server, query) as reader:
            assert await service_of_next(reader) == "web"
            records.say(flow("web", outcome=Outcome.REFUSED), flow("web", client="10.9.9.9"), flow("web"))
            line = await reader.readline()
    event = decode_event(line)
    assert isinstance(event, ConnectionEvent)
    assert (event.verdict, event.client) == ("closed", "10.0.0.9:4321")


async def test_server_sent_events() -> None:
    records = Records([flow("web")])
    async with running(serving(observers(records))) as server:
        async with following(server, accept="text/event-stream") as reader:
            data = await reader.readuntil(b"\n\n")
    assert decode_event(data.removeprefix(b"data: "))


async def test_a_reader_that_leaves_is_noticed() -> None:
    records = Records()
    observed = observers(records)
    async with running(serving(observed)) as server:
        async with following(server):
            await until(lambda: observed.readers == 1)
        await until(lambda: observed.readers == 0)
    assert records.deliver is None


async def test_a_reader_slower_than_the_ring_learns_what_it_missed(monkeypatch: pytest.MonkeyPatch) -> None:
    records = Records()
    observed = observers(records, size=5)
    async with running(serving(observed)) as server:
        async with following(server) as reader:
            await until(lambda: observed.readers == 1)
            records.say(*(flow(f"s{n}") for n in range(12)))
            lost = decode_event(await reader.readline())
            assert await service_of_next(reader) == "s7"
    assert isinstance(lost, LostEvent)
    assert (lost.count, observed.log.lost) == (7, 7)


async def test_silence_shows_signs_of_life(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(events_module, "BEAT_SECONDS", 0.1)
    async with running(serving(observers())) as server:
        async with following(server) as lines, following(server, accept="text/event-stream") as served:
            async with asyncio.timeout(5):
                assert await lines.readline() == b"\n"
                assert await served.readuntil(b"\n\n") == b":\n\n"


async def test_endless_answers_outlive_the_deadline_and_are_bounded() -> None:
    records = Records()
    limits = Limits(connections=3, seconds=0.3, streams=2)
    async with running(serving(observers(records), limits=limits)) as server:
        async with following(server) as first, following(server) as second:
            refused = await ask(server, "/events?follow=1")
            assert (refused.status, "too many clients" in refused.text) == (503, True)
            await asyncio.sleep(0.6)
            records.say(flow("web"))
            assert [await service_of_next(one) for one in (first, second)] == ["web", "web"]
            # They do not take the place of probes and scrapes either.
            assert [(await ask(server, "/healthz")).status for _ in range(5)] == [200] * 5
        await until(lambda: records.deliver is None)
        async with following(server):
            pass


async def test_a_stop_ends_endless_answers() -> None:
    async with running(serving(observers())) as server:
        async with following(server) as reader:
            await server.stop()
            assert await reader.read() == b""


async def test_head_has_no_body_and_other_sites_get_nothing() -> None:
    async with running(serving(observers(Records([flow()])))) as server:
        head = await ask(server, "/events", "HEAD")
        foreign = await ask(server, "/events", headers=[("Sec-Fetch-Site", "cross-site")])
    assert (head.status, head.body, foreign.status) == (200, b"", 403)


async def test_switched_off() -> None:
    async with running(serving(observers(size=0))) as server:
        none = await ask(server, "/events")
    async with running(serving(observers(), live=False)) as server:
        closed = await ask(server, "/events")
    assert (none.status, "--observe-events" in none.text) == (404, True)
    assert (closed.status, "/events" in closed.text) == (404, False)


@pytest.mark.parametrize(
    ("query", "complaint"),
    [
        ({"folow": "1"}, "folow: no such parameter"),
        ({"follow": "maybe"}, "neither true nor false"),
        ({"last": "x"}, "last: 'x' is not a number"),
        ({"last": "-1"}, "last: '-1' is not a number"),
        ({"since": "5m"}, "since: '5m' is not a number of seconds"),
        ({"since": "nan"}, "not a number"),
        ({"verdict": "lost"}, "verdict: 'lost' is none"),
        ({"client": "me"}, "client: 'me' is no address"),
    ],
)
def test_what_is_no_query(query: dict[str, str], complaint: str) -> None:
    with pytest.raises(UsageError) as caught:
        parse_query(MultiDict(query), datetime.now(UTC))
    assert complaint in str(caught.value)


async def test_a_bad_query_is_answered_in_one_line() -> None:
    async with running(serving(observers())) as server:
        answer = await ask(server, "/events?verdict=lost")
    assert (answer.status, answer.text.count("\n")) == (400, 1)
