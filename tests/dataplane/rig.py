"""A data plane with one Service port on loopback, and endpoints and clients made of plain sockets."""

from __future__ import annotations

import asyncio
import contextlib
import socket
import struct
import sys
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Sequence
from pathlib import Path

from tests.build import key, serving_of
from userproxy.core.counters import PortCounters
from userproxy.core.networks import DROP_ALL
from userproxy.core.plan import Serving
from userproxy.core.policy import Verdict
from userproxy.dataplane.plane import LocalPlane, PlaneSettings
from userproxy.dataplane.sockets import filter_packets
from userproxy.model import Address, ListenerSpec

KEY = key("web")
ECHO_SERVER = Path(__file__).parents[1] / "echo_server.py"


class Rig:
    """One Service port; `address` is where clients connect."""

    def __init__(self, settings: PlaneSettings) -> None:
        self.plane = LocalPlane(settings)
        self.address: Address = ("", 0)
        self.spec = ListenerSpec(KEY, "127.0.0.1", 0, captured_only=False)

    async def start(
        self, endpoints: Sequence[Address], verdict: Verdict | None = None, **options: object
    ) -> None:
        """Open the listener; without `verdict`: carry when there are endpoints, else drop."""
        await self.plane.start()
        opened = await self.plane.open([self.spec], [serving(endpoints, verdict, **options)])
        assert opened.failures == {}
        self.address = opened.addresses[self.spec]

    async def serve(
        self, endpoints: Sequence[Address], verdict: Verdict | None = None, **options: object
    ) -> None:
        """Change the endpoints, and the options to just these."""
        await self.plane.open([], [serving(endpoints, verdict, **options)])

    async def connect(self, source: str = "") -> socket.socket:
        """Return a client connection, from the address `source` if given."""
        return await connect(self.address, source)

    @property
    def counters(self) -> PortCounters:
        """The counters of the Service port."""
        return dict(self.plane.counters())[KEY]


def serving(endpoints: Sequence[Address], verdict: Verdict | None = None, **options: object) -> Serving:
    """What the plan would say; `options` are those of PortOptions."""
    return serving_of(KEY, endpoints, verdict, **options)


@contextlib.asynccontextmanager
async def rig(*endpoints: Address, verdict: Verdict | None = None, **settings: object) -> AsyncIterator[Rig]:
    """A started Rig; everything is closed at the end."""
    made = Rig(PlaneSettings(**settings))
    await made.start(endpoints, verdict)
    try:
        yield made
    finally:
        made.plane.stop()


@contextlib.asynccontextmanager
async def endpoint(handle: Callable[[socket.socket], Awaitable[None]]) -> AsyncIterator[Address]:
    """An endpoint whose connections are given to `handle` as non-blocking sockets and closed after it."""
    loop = asyncio.get_running_loop()
    listener = socket.create_server(("127.0.0.1", 0), backlog=1024)
    listener.setblocking(False)

    async def one(sock: socket.socket) -> None:
        with sock, contextlib.suppress(OSError):
            await handle(sock)

    async def accept(group: asyncio.TaskGroup) -> None:
        while True:
            sock, _ = await loop.sock_accept(listener)
            sock.setblocking(False)
            group.create_task(one(sock), name="endpoint connection")

    async def run() -> None:
        async with asyncio.TaskGroup() as group:
            await accept(group)

    with listener:
        async with asyncio.TaskGroup() as group:
            task = group.create_task(run(), name="endpoint")
            try:
                yield listener.getsockname()
            finally:
                task.cancel()


@contextlib.asynccontextmanager
async def echo_process() -> AsyncIterator[Address]:
    """An echoing endpoint with descriptors of its own."""
    process = await asyncio.create_subprocess_exec(
        sys.executable, str(ECHO_SERVER), stdin=asyncio.subprocess.PIPE, stdout=asyncio.subprocess.PIPE
    )
    assert process.stdin is not None
    assert process.stdout is not None
    try:
        yield "127.0.0.1", int(await process.stdout.readline())
    finally:
        process.stdin.close()
        await process.wait()


@contextlib.contextmanager
def silent_endpoint() -> Iterator[Address]:
    """An address that answers no SYN at all, as a Pod behind a broken network does."""
    with socket.create_server(("127.0.0.1", 0)) as sock:
        filter_packets(sock, DROP_ALL)
        yield sock.getsockname()


def closed_port() -> Address:
    """An address on loopback that refuses connections."""
    with socket.create_server(("127.0.0.1", 0)) as sock:
        return sock.getsockname()


def client_socket() -> socket.socket:
    """A non-blocking TCP socket."""
    sock = socket.socket()
    sock.setblocking(False)
    return sock


async def connect(address: Address, source: str = "") -> socket.socket:
    """Return a connection to `address`, from the address `source` if given."""
    sock = client_socket()
    try:
        if source:
            sock.bind((source, 0))
        await asyncio.get_running_loop().sock_connect(sock, address)
    except BaseException:
        sock.close()
        raise
    return sock


async def receive(sock: socket.socket, seconds: float = 5.0) -> bytes:
    """Read to EOF."""
    loop = asyncio.get_running_loop()
    parts: list[bytes] = []
    async with asyncio.timeout(seconds):
        while data := await loop.sock_recv(sock, 1 << 18):
            parts.append(data)
    return b"".join(parts)


async def send(sock: socket.socket, data: bytes) -> None:
    """Send all of `data`."""
    await asyncio.get_running_loop().sock_sendall(sock, data)


async def echo(sock: socket.socket) -> None:
    """Send back what comes, until EOF."""
    loop = asyncio.get_running_loop()
    while data := await loop.sock_recv(sock, 1 << 16):
        await loop.sock_sendall(sock, data)


def named(name: bytes) -> Callable[[socket.socket], Awaitable[None]]:
    """An endpoint that says its name and closes."""

    async def handle(sock: socket.socket) -> None:
        await send(sock, name)

    return handle


def greeting(name: bytes) -> Callable[[socket.socket], Awaitable[None]]:
    """An endpoint that says its name at once and closes when the client does."""

    async def handle(sock: socket.socket) -> None:
        await send(sock, name)
        await receive(sock, 60)

    return handle


def answering(name: bytes) -> Callable[[socket.socket], Awaitable[None]]:
    """An endpoint that says its name once the client has ended, so that it closes without unread data."""

    async def handle(sock: socket.socket) -> None:
        await receive(sock)
        await send(sock, name)

    return handle


def reset(sock: socket.socket) -> None:
    """Close with RST."""
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    sock.close()


async def until(condition: Callable[[], bool], seconds: float = 5.0) -> None:
    """Wait until `condition` holds."""
    async with asyncio.timeout(seconds):
        while not condition():
            await asyncio.sleep(0.01)
