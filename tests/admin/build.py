"""What the admin tests share: sources with chosen values, a running server, and a real HTTP request.

Owns no expectations. Requests go through http.client in a thread, so that they meet the servers' real sockets.
"""

from __future__ import annotations

import asyncio
import http.client
import time
from collections.abc import AsyncIterator, Iterable
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any, Protocol, TypeVar

from userproxy.admin.sources import Sources
from userproxy.core.addresses import BindAddress
from userproxy.core.counters import PortCounters
from userproxy.core.health import SyncHealth
from userproxy.core.status import CaptureView, WorkersView
from userproxy.core.sync_counters import SyncCounters
from userproxy.model import Address, Family, PortKey, ServicePortName

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
    }
    return Sources(**{**values, **chosen})


def key(
    service: str, port: str = "http", family: Family = Family.IPV4, namespace: str = "default"
) -> PortKey:
    """Return the key of a TCP Service port."""
    return PortKey(ServicePortName(namespace, service, port, "TCP"), family)


def busy_ports(count: int) -> list[tuple[PortKey, PortCounters]]:
    """Return Service ports that all had connections."""
    return [(key(f"service-{n}"), PortCounters(accepted=n + 1, carried=n)) for n in range(count)]


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
