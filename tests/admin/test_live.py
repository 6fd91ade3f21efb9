"""`/live` over real HTTP: snapshots, the events between them, what is searched and opened, and its bounds."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, Mapping
from contextlib import AbstractAsyncContextManager
from typing import Any

import msgspec
import pytest

from tests.admin.build import (
    LOOPBACK,
    Records,
    Server,
    ask,
    flow,
    key,
    observers,
    open_stream,
    running,
    sources,
)
from tests.dataplane.rig import until
from userproxy.admin import live as live_module
from userproxy.admin.live import MAX_EVENTS
from userproxy.admin.metrics import MetricsServer
from userproxy.admin.server import Limits
from userproxy.core.counters import PortCounters
from userproxy.core.live import PAGE_SERVICES, LiveSnapshot
from userproxy.core.policy import Verdict
from userproxy.core.status import ServicePortView, ServiceView
from userproxy.core.sync_counters import SyncCounters
from userproxy.model import PortKey, ServiceName


class Cluster:
    """Services with one port each, of which some had connections."""

    def __init__(self, count: int = 3) -> None:
        self.names = [ServiceName("default", f"s{number:05d}") for number in range(count)]
        self.counters = {key("s00001"): PortCounters(accepted=10, active=2)}
        self.sync = SyncCounters()
        self.records = Records([flow("s00001")])
        self.observers = observers(self.records, size=1000)

    def find(self, text: str) -> list[ServiceName]:
        return [name for name in self.names if text in str(name)]

    def views(
        self, names: Iterable[ServiceName], counters: Mapping[PortKey, PortCounters]
    ) -> Iterable[ServiceView]:
        for name in names:
            own = counters.get(key(name.name)) or PortCounters()
            port = ServicePortView("http", "TCP", "IPv4", "10.0.0.1", 80, Verdict.CARRY, (), (), (), own, ())
            yield ServiceView(name.namespace, name.name, (port,), ())

    def server(self, **chosen: Any) -> MetricsServer:
        seen = sources(
            busy=lambda: list(self.counters.items()),
            find=self.find,
            views=self.views,
            sync=lambda: self.sync,
            observers=self.observers,
        )
        return MetricsServer(LOOPBACK, seen, **chosen)


@pytest.fixture(autouse=True)
def _quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(live_module, "INTERVAL", 0.05)
    monkeypatch.setattr(live_module, "FIRST_INTERVAL", 0.05)


def following(
    server: Server, query: str = "", accept: str = "*/*"
) -> AbstractAsyncContextManager[asyncio.StreamReader]:
    return open_stream(server, f"/live?{query}", accept)


async def snapshot(reader: asyncio.StreamReader) -> LiveSnapshot:
    async with asyncio.timeout(5):
        return msgspec.json.decode(await reader.readline(), type=LiveSnapshot)


async def served(reader: asyncio.StreamReader) -> tuple[str, Any]:
    async with asyncio.timeout(5):
        head, data, _, _ = (await reader.readuntil(b"\n\n")).decode().split("\n")
    return head.removeprefix("event: "), msgspec.json.decode(data.removeprefix("data: "))


async def test_snapshots_with_rates_from_the_second_on() -> None:
    cluster = Cluster()
    async with running(cluster.server()) as server, following(server) as reader:
        first = await snapshot(reader)
        cluster.counters[key("s00001")].accepted += 100
        while not (later := await snapshot(reader)).rates.new:
            pass
    assert (first.interval, first.rates.open, first.rates.new, first.accepted) == (0, 2, 0, 10)
    assert [row.service for row in first.rows] == ["s00000", "s00001", "s00002"]
    assert (first.services, first.found, first.page, first.pages) == (3, 3, 0, 1)
    assert later.interval > 0
    assert later.rows[1].rates == later.rates


async def test_the_past_and_the_present_of_events() -> None:
    cluster = Cluster()
    async with running(cluster.server()) as server, following(server, accept="text/event-stream") as reader:
        assert (await served(reader))[0] == "snapshot"
        name, events = await served(reader)
        assert (name, [event["service"] for event in events]) == ("events", ["s00001"])
        cluster.records.say(*(flow(f"n{number}") for number in range(MAX_EVENTS + 5)))
        while (found := await served(reader))[0] == "snapshot":
            pass
    lost, *events = found[1]
    assert (lost["type"], lost["count"]) == ("lost", 5)
    assert [event["service"] for event in events] == [f"n{number}" for number in range(5, MAX_EVENTS + 5)]


async def test_ten_thousand_services_make_a_page_and_a_search() -> None:
    cluster = Cluster(10_000)
    async with running(cluster.server()) as server:
        async with following(server, "page=7") as reader:
            page = await snapshot(reader)
        async with following(server, "search=S0999&sort=open") as reader:
            found = await snapshot(reader)
        async with following(server, "sort=open") as reader:
            line = await reader.readline()
    assert (page.page, page.pages, page.rows[0].service) == (7, 10_000 // PAGE_SERVICES, "s00350")
    assert (found.found, found.services, found.rows[-1].service) == (10, 10_000, "s09999")
    assert msgspec.json.decode(line, type=LiveSnapshot).rows[0].service == "s00001"
    assert len(line) < 40_000


async def test_services_that_change_are_found_anew() -> None:
    cluster = Cluster()
    async with running(cluster.server()) as server, following(server) as reader:
        assert (await snapshot(reader)).found == 3
        cluster.names.append(ServiceName("default", "zz"))
        cluster.sync.service_changes += 1
        while (await snapshot(reader)).found != 4:
            pass


async def test_opened_services_and_many_busy_ones() -> None:
    cluster = Cluster(500)
    cluster.counters = {key(f"s{number:05d}"): PortCounters(accepted=1) for number in range(500)}
    async with running(cluster.server()) as server, following(server, "open=default/s00002") as reader:
        rows = (await snapshot(reader)).rows
    assert [row.service for row in rows if row.detail] == ["s00002"]
    assert all(row.accepted for row in rows)


async def test_readers_are_bounded_and_let_the_data_plane_rest_when_they_leave() -> None:
    cluster = Cluster()
    async with running(cluster.server(limits=Limits(streams=1))) as server:
        async with following(server):
            refused = await ask(server, "/live")
            assert (refused.status, "too many" in refused.text) == (503, True)
        await until(lambda: cluster.records.deliver is None)


@pytest.mark.parametrize("query", ["sort=size", "page=x", "serch=x"])
async def test_a_bad_query_is_answered_in_one_line(query: str) -> None:
    async with running(Cluster().server()) as server:
        answer = await ask(server, f"/live?{query}")
        head = await ask(server, "/live", "HEAD")
    assert (answer.status, answer.text.count("\n")) == (400, 1)
    assert (head.status, head.body) == (200, b"")
