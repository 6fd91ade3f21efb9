"""What the admin tests share: sources with chosen values, a running server, and a real HTTP request.

Owns no expectations. Requests go through http.client in a thread, so that they meet the servers' real sockets.
"""

from __future__ import annotations

import asyncio
import http.client
import time
from collections.abc import AsyncIterator, Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any, Protocol, TypeVar

from userproxy.admin.observers import Deliver, Observers
from userproxy.admin.sources import Sources
from userproxy.admin.wallclock import WallClock
from userproxy.core.addresses import BindAddress
from userproxy.core.counters import PortCounters
from userproxy.core.event_log import EventLog
from userproxy.core.explain import World
from userproxy.core.flows import Flow, Outcome
from userproxy.core.health import SyncHealth
from userproxy.core.inspection import Inspection
from userproxy.core.plan import Running
from userproxy.core.status import CaptureView, WorkersView
from userproxy.core.sync_counters import SyncCounters
from userproxy.core.table import ServiceTable
from userproxy.model import Address, Family, Host, PortKey, ServicePortName

LOOPBACK = BindAddress("127.0.0.1", 0)

_CLIENTS = ThreadPoolExecutor(32, thread_name_prefix="client")
"""Clients wait in threads of their own: the default executor belongs to the server under test."""


def sources(**chosen: Any) -> Sources:
    """Return sources of a proxy that has nothing to do, with `chosen` callables and values in place."""
    values: dict[str, Any] = {
        "started": time.monotonic(),
        "health": SyncHealth().verdict,
        "readiness": lambda: (),
        "counters": lambda: (),
        "no_endpoints": lambda: (),
        "watches": lambda: (),
        "sync": SyncCounters,
        "capture": lambda: CaptureView("none"),
        "workers": WorkersView,
        "services": lambda: iter(()),
        "warnings": lambda: (),
        "busy": lambda: (),
        "find": lambda text: [],
        "views": lambda names, counters: (),
        "observers": observers(),
        "world": empty_world,
        "inspect": nothing_inside,
    }
    return Sources(**{**values, **chosen})


def empty_world() -> World:
    """Return the world of an agent that has heard of nothing."""
    return World(ServiceTable(), Running(), Host(), {}, {}, "none")


async def nothing_inside(_key: PortKey | None, _limit: int) -> tuple[Inspection, ...]:
    """Return the look into no workers."""
    return ()


def key(
    service: str,
    port: str = "http",
    family: Family = Family.IPV4,
    namespace: str = "default",
    protocol: str = "TCP",
) -> PortKey:
    """Return the key of a Service port."""
    return PortKey(ServicePortName(namespace, service, port, protocol), family)


def busy_ports(count: int) -> list[tuple[PortKey, PortCounters]]:
    """Return Service ports that all had connections."""
    return [(key(f"service-{n}"), PortCounters(accepted=n + 1, carried=n)) for n in range(count)]


class Records:
    """A data plane as far as observers see it: what it kept, and what it says when it is told to."""

    def __init__(self, kept: Sequence[Flow] = ()) -> None:
        self._kept = list(kept)
        self.deliver: Deliver | None = None

    async def follow(self, deliver: Deliver | None) -> None:
        self.deliver = deliver
        if deliver is not None:
            deliver(self._kept, 0)
            self._kept.clear()

    def say(self, *flows: Flow, lost: int = 0) -> None:
        assert self.deliver is not None
        self.deliver(flows, lost)


def observers(records: Records | None = None, size: int = 100) -> Observers:
    """Return observers of a data plane that has nothing to tell unless `records` has."""
    return Observers(EventLog(size), (records or Records()).follow, WallClock())


def flow(
    service: str = "web", at: float = 0.0, outcome: Outcome = Outcome.CLOSED, client: str = "10.0.0.9"
) -> Flow:
    """Return the record of a connection that was open for a second until now + `at`."""
    end = time.monotonic() + at
    return Flow(
        key(service), outcome, (client, 4321), ("10.1.0.1", 80), end - 1, end, end - 1, 1, 2, (), "", 1
    )


class Server(Protocol):
    """What the admin servers have in common."""

    @property
    def address(self) -> Address | None: ...
    async def start(self) -> None: ...
    async def stop(self) -> None: ...


S = TypeVar("S", bound=Server)


@asynccontextmanager
async def running(server: S) -> AsyncIterator[S]:
    """Start a server, and stop it in any case."""
    await server.start()
    try:
        yield server
    finally:
        await server.stop()


@dataclass(frozen=True)
class Answer:
    """What came back; header names in lower case."""

    status: int
    headers: dict[str, str]
    body: bytes

    @property
    def text(self) -> str:
        return self.body.decode()


@asynccontextmanager
async def open_stream(
    server: Server, target: str, accept: str = "*/*"
) -> AsyncIterator[asyncio.StreamReader]:
    """An endless answer, its header read."""
    assert server.address is not None
    reader, writer = await asyncio.open_connection(*server.address, limit=1 << 22)
    # A client of HTTP 1.0 gets the lines without chunks around them.
    writer.write(f"GET {target} HTTP/1.0\r\nAccept: {accept}\r\n\r\n".encode())
    try:
        head = await reader.readuntil(b"\r\n\r\n")
        assert b" 200 " in head.splitlines()[0], head
        yield reader
    finally:
        writer.close()
        await writer.wait_closed()


async def ask(
    server: Server, path: str, method: str = "GET", headers: Iterable[tuple[str, str]] = (), body: bytes = b""
) -> Answer:
    """Send one request over a connection of its own."""
    assert server.address is not None
    loop = asyncio.get_running_loop()
    return await loop.run_in_executor(_CLIENTS, _ask, server.address, path, method, dict(headers), body)


def _ask(address: Address, path: str, method: str, headers: dict[str, str], body: bytes) -> Answer:
    connection = http.client.HTTPConnection(*address, timeout=10)
    try:
        connection.request(method, path, body=body or None, headers=headers)
        response = connection.getresponse()
        found = {name.lower(): value for name, value in response.getheaders()}
        return Answer(response.status, found, response.read())
    finally:
        connection.close()
