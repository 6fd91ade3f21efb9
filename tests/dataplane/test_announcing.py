"""The PROXY protocol header: in front of everything, once for each dial, in one segment with the client's first bytes."""

from __future__ import annotations

import asyncio
import contextlib
import http.client
import socket
import struct
import subprocess
import time
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.build import key, serving_of
from tests.dataplane.rig import Rig, closed_port, endpoint, receive, reset, send, until
from tests.netns import needs_programs
from tests.proxy_header import parse
from userproxy.core.affinity import AffinityRecords
from userproxy.core.proxy_protocol import header
from userproxy.dataplane.acceptor import Acceptor
from userproxy.dataplane.announcing import announce
from userproxy.dataplane.connection import Connection
from userproxy.dataplane.plane import LocalPlane, PlaneSettings
from userproxy.dataplane.reactor import Reactor
from userproxy.dataplane.relay import EDGE, EDGE_WRITE, Leg
from userproxy.dataplane.service_port import Port
from userproxy.dataplane.sockets import SocketSettings
from userproxy.model import Address, Family, ListenerSpec

VERSIONS = pytest.mark.parametrize("version", [1, 2])
DATA_SEGMENTS_IN = 152
"""Offset of tcpi_data_segs_in in struct tcp_info (linux/tcp.h)."""


@contextlib.asynccontextmanager
async def announcing(version: int, *endpoints: Address) -> AsyncIterator[Rig]:
    made = Rig(PlaneSettings())
    await made.start(endpoints, proxy_protocol=version)
    try:
        yield made
    finally:
        made.plane.stop()


class Recorder:
    """An endpoint that keeps what comes, and says it back when the client has ended."""

    def __init__(self) -> None:
        self.connections: list[bytes] = []
        self.segments: list[int] = []

    async def __call__(self, sock: socket.socket) -> None:
        data = await receive(sock)
        info = sock.getsockopt(socket.IPPROTO_TCP, socket.TCP_INFO, 192)
        self.segments += struct.unpack_from("=I", info, DATA_SEGMENTS_IN)
        self.connections.append(data)
        await send(sock, data)


def client_of(address: Address, data: bytes) -> socket.socket:
    """A client whose bytes are there before the connection is accepted: the kernel does all of this by itself."""
    sock = socket.create_connection(address)
    sock.sendall(data)
    sock.setblocking(False)
    return sock


@VERSIONS
async def test_one_segment_with_the_bytes_that_wait_and_nothing_lost(version: int) -> None:
    seen = Recorder()
    async with endpoint(seen) as address, announcing(version, address) as proxy:
        with client_of(proxy.address, b"GET /") as client:
            await until(lambda: proxy.counters.bytes_received == 5)
            own = client.getsockname()
            client.shutdown(socket.SHUT_WR)
            echoed = await receive(client)
    assert parse(echoed) == (version, own, proxy.address, b"GET /")
    assert seen.segments == [1]
    assert len(seen.connections) == 1
    assert proxy.counters.bytes_received == 5


@VERSIONS
async def test_a_server_that_speaks_first_has_the_header_already(version: int) -> None:
    async def greet(sock: socket.socket) -> None:
        loop = asyncio.get_running_loop()
        first = await loop.sock_recv(sock, 200)
        await send(sock, b"220 " + first)

    async with endpoint(greet) as address, announcing(version, address) as proxy:
        with await proxy.connect() as client:
            greeting = await receive(client)
            assert parse(greeting[4:]) == (version, client.getsockname(), proxy.address, b"")


@VERSIONS
async def test_each_dial_sends_its_own_header(version: int) -> None:
    seen = Recorder()
    async with endpoint(seen) as address, announcing(version, closed_port(), address, closed_port()) as proxy:
        for number in range(6):
            with client_of(proxy.address, b"%d" % number) as client:
                own = client.getsockname()
                client.shutdown(socket.SHUT_WR)
                assert parse(await receive(client)) == (version, own, proxy.address, b"%d" % number)
        assert proxy.counters.retries > 0
    assert [data[-1:] for data in seen.connections] == [b"0", b"1", b"2", b"3", b"4", b"5"]


async def test_a_client_that_says_nothing_and_ends() -> None:
    seen = Recorder()
    async with endpoint(seen) as address, announcing(1, address) as proxy:
        with client_of(proxy.address, b"") as client:
            client.shutdown(socket.SHUT_WR)
            assert parse(await receive(client))[3] == b""


async def test_an_endpoint_that_resets_harms_only_this_connection() -> None:
    async def refuse(sock: socket.socket) -> None:
        reset(sock)

    async with endpoint(refuse) as address, announcing(2, address) as proxy:
        for _ in range(5):
            with await proxy.connect() as client:
                with contextlib.suppress(ConnectionResetError):
                    assert await receive(client) == b""
        await until(lambda: proxy.counters.active == 0)


async def test_the_annotation_is_followed_while_running() -> None:
    seen = Recorder()
    async with endpoint(seen) as address, announcing(1, address) as proxy:
        for version in (1, 0, 2):
            await proxy.plane.open([], [serving_of(proxy.spec.key, [address], proxy_protocol=version)])
            with client_of(proxy.address, b"x") as client:
                client.shutdown(socket.SHUT_WR)
                data = await receive(client)
                assert data == b"x" if version == 0 else parse(data)[0] == version


async def test_ipv6() -> None:
    seen = Recorder()
    plane = LocalPlane(PlaneSettings())
    spec = ListenerSpec(key("web", family=Family.IPV6), "::1", 0, captured_only=False)
    async with endpoint(seen) as address:
        await plane.start()
        try:
            opened = await plane.open([spec], [serving_of(spec.key, [address], proxy_protocol=2)])
            with client_of(opened.addresses[spec], b"six") as client:
                client.shutdown(socket.SHUT_WR)
                own, proxied = client.getsockname()[:2], opened.addresses[spec]
                assert parse(await receive(client)) == (2, own, proxied, b"six")
        finally:
            plane.stop()


@pytest.mark.parametrize("room", [0, 10])
def test_a_header_that_does_not_fit_waits_in_front_of_the_client(room: int) -> None:
    """The send buffer of the endpoint's socket is full: what is left of the header holds the client back."""
    reactor = Reactor()
    with socket.create_server(("127.0.0.1", 0)) as listener, contextlib.ExitStack() as stack:
        client = stack.enter_context(socket.create_connection(listener.getsockname()))
        near = stack.enter_context(listener.accept()[0])
        server, far = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET if room else socket.SOCK_STREAM)
        stack.enter_context(server)
        stack.enter_context(far)
        acceptor = Acceptor(reactor, SocketSettings(), half_close_timeout=1.0, max_connections=1)
        port = Port(key("web"), AffinityRecords())
        port.proxy_protocol = 1
        peer = client.getsockname()
        connection = Connection(acceptor, port, port.balancer, near, near.fileno(), peer)
        whole = header(1, client.getsockname(), listener.getsockname())
        sock = server
        if room:
            sock = stack.enter_context(Narrow(server, room))
        else:
            server.setblocking(False)
            with contextlib.suppress(BlockingIOError):
                while True:
                    server.send(b"x" * 65536)
        legs = (
            Leg(connection, near, near.fileno(), is_client=True),
            Leg(connection, sock, server.fileno(), is_client=False),
        )
        reactor.epoll.register(server.fileno(), EDGE)
        assert announce(connection, *legs) == 0
        assert legs[0].tail == whole[room:]
        assert legs[1].watched == EDGE_WRITE
    reactor.close()


class Narrow(socket.socket):
    """A socket that takes only so many bytes at once, which the kernel's own never do with so few."""

    def __init__(self, sock: socket.socket, room: int) -> None:
        super().__init__(sock.family, sock.type, sock.proto, socket.dup(sock.fileno()))
        self._room = room

    def send(self, data: Any, flags: int = 0) -> int:
        return super().send(data[: self._room], flags)


@contextlib.contextmanager
def haproxy(folder: Path) -> Iterator[Address]:
    """HAProxy as an endpoint that accepts nothing but the PROXY protocol, and answers with what it learned from it."""
    address = closed_port()
    config = folder / "haproxy.cfg"
    config.write_text(
        "defaults\n mode http\n timeout client 10s\n"
        f"frontend learned\n bind {address[0]}:{address[1]} accept-proxy\n"
        ' http-request return status 200 content-type text/plain lf-string "%[src] %[src_port] %[dst] %[dst_port]"\n'
    )
    process = subprocess.Popen(["haproxy", "-db", "-q", "-f", str(config)])
    try:
        ends = time.monotonic() + 10
        while True:
            try:
                socket.create_connection(address).close()
                break
            except ConnectionRefusedError:
                assert process.poll() is None
                assert time.monotonic() < ends
                time.sleep(0.02)
        yield address
    finally:
        process.kill()
        process.wait()


@needs_programs("haproxy")
async def test_a_real_haproxy_learns_the_client(tmp_path: Path) -> None:
    with haproxy(tmp_path) as address:
        for version in (1, 2):
            async with announcing(version, closed_port(), address) as proxy:

                def ask(where: Address = proxy.address) -> tuple[str, str]:
                    connection = http.client.HTTPConnection(*where, timeout=10)
                    try:
                        answers = []
                        for _ in range(2):
                            connection.request("GET", "/")
                            own = connection.sock.getsockname()
                            answers.append(connection.getresponse().read().decode())
                        assert answers[0] == answers[1]
                        return answers[0], f"{own[0]} {own[1]} {where[0]} {where[1]}"
                    finally:
                        connection.close()

                said, meant = await asyncio.to_thread(ask)
                assert said == meant
