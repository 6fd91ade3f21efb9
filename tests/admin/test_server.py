"""The HTTP server's own duties: binding, words for a failed bind, bounds on connections, and surviving rude clients.

Clients are plain sockets, so that they can be as slow and as rude as it takes.
"""

from __future__ import annotations

import asyncio
import os
import resource
import socket
import time
from contextlib import ExitStack
from pathlib import Path

import pytest
import uvloop
from aiohttp import web

from tests.admin.build import LOOPBACK, ask, running
from userproxy.admin.server import HttpServer, Limits, text_response
from userproxy.core.addresses import BindAddress
from userproxy.errors import ListenError

SETTING = "--test-bind-address"
REQUEST = b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n"


async def hello(request: web.BaseRequest) -> web.StreamResponse:
    return text_response(f"hello {request.path}")


def server(bind: BindAddress | None = LOOPBACK, limits: Limits | None = None) -> HttpServer:
    return HttpServer(bind, SETTING, hello, limits or Limits())


def client(one: HttpServer) -> socket.socket:
    assert one.address is not None
    return socket.create_connection(one.address, timeout=10)


def read_all(sock: socket.socket) -> bytes:
    """Return everything until the end of the stream; a reset counts as an end."""
    found = b""
    try:
        while piece := sock.recv(65536):
            found += piece
    except ConnectionResetError:
        pass
    return found


async def test_it_answers_and_knows_its_address() -> None:
    one = server()
    assert one.address is None
    async with running(one):
        assert one.address is not None
        assert one.address[0] == "127.0.0.1"
        assert one.address[1] > 0
        answer = await ask(one, "/x")
        assert (answer.status, answer.text) == (200, "hello /x")
        assert answer.headers["x-content-type-options"] == "nosniff"
    assert one.address is None


async def test_ipv6_and_both_families() -> None:
    if not socket.has_ipv6:
        pytest.skip("this Python has no IPv6")
    try:
        socket.create_server(("::1", 0), family=socket.AF_INET6).close()
    except OSError as error:
        pytest.skip(f"no IPv6 loopback address here: {error}")
    async with running(server(BindAddress("::", 0))) as one:
        assert one.address is not None
        port = one.address[1]
        for host in ("::1", "127.0.0.1"):
            with await asyncio.to_thread(socket.create_connection, (host, port), 10) as sock:
                sock.sendall(REQUEST)
                assert b"hello /" in await asyncio.to_thread(read_all, sock)


async def test_each_connection_carries_one_request() -> None:
    async with running(server()) as one:
        with client(one) as sock:
            sock.sendall(REQUEST * 3)
            found = await asyncio.to_thread(read_all, sock)
    assert found.count(b"HTTP/1.1 200 OK") == 1
    assert b"connection: close" in found.lower()


async def test_address_in_use_is_said_in_one_line() -> None:
    async with running(server()) as one:
        assert one.address is not None
        with pytest.raises(ListenError) as caught:
            await server(BindAddress(*one.address)).start()
        text = str(caught.value)
        assert text.startswith(
            f"{SETTING}: cannot listen on 127.0.0.1:{one.address[1]}: Address already in use; "
        )
        assert "choose another address" in text
        assert "\n" not in text
        assert caught.value.exit_code == 1
        assert isinstance(caught.value.__cause__, OSError)


async def test_an_address_of_another_host() -> None:
    with pytest.raises(ListenError, match=r"192\.0\.2\.1:0: .*; this host has no such address"):
        await server(BindAddress("192.0.2.1", 0)).start()


async def test_a_privileged_port() -> None:
    first = int(Path("/proc/sys/net/ipv4/ip_unprivileged_port_start").read_text())
    if first <= 1:
        pytest.skip(
            f"net.ipv4.ip_unprivileged_port_start is {first}: every port may be bound by anybody here"
        )
    before = os.geteuid()
    if before == 0:
        # An effective user other than root has no effective capabilities.
        os.seteuid(65534)
    try:
        with pytest.raises(ListenError, match=r"127\.0\.0\.1:1: .*CAP_NET_BIND_SERVICE"):
            await server(BindAddress("127.0.0.1", 1)).start()
    finally:
        os.seteuid(before)


async def test_no_descriptors_left() -> None:
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    used = max(int(entry.name) for entry in Path("/proc/self/fd").iterdir())
    with ExitStack() as stack:
        stack.callback(resource.setrlimit, resource.RLIMIT_NOFILE, (soft, hard))
        resource.setrlimit(resource.RLIMIT_NOFILE, (used + 1, hard))
        use_up_descriptors(stack, used + 1)
        with pytest.raises(ListenError, match="Too many open files"):
            await server().start()


def use_up_descriptors(stack: ExitStack, limit: int) -> None:
    """Open files until the kernel gives no more; `stack` closes them."""
    try:
        for _ in range(limit):
            stack.callback(os.close, os.open("/dev/null", os.O_RDONLY))
    except OSError:
        return


async def test_the_port_is_free_after_stop() -> None:
    one = server()
    await one.start()
    assert one.address is not None
    bind = BindAddress(*one.address)
    assert (await ask(one, "/")).status == 200
    await one.stop()
    with pytest.raises(ConnectionRefusedError):
        await asyncio.to_thread(socket.create_connection, (bind.host, bind.port), 10)
    async with running(server(bind)) as again:
        assert (await ask(again, "/")).status == 200


async def test_stop_ends_idle_connections_and_twice_is_harmless() -> None:
    one = server()
    await one.start()
    with client(one) as sock:
        sock.sendall(REQUEST[:10])
        await asyncio.sleep(0.05)
        await one.stop()
        assert await asyncio.to_thread(read_all, sock) == b""
    await one.stop()


async def test_no_address_no_server() -> None:
    async with running(server(None)) as one:
        assert one.address is None


async def test_slow_clients_cannot_pile_up_nor_keep_others_out() -> None:
    limits = Limits(connections=8)
    async with running(server(limits=limits)) as one:
        with ExitStack() as stack:
            slow = [stack.enter_context(client(one)) for _ in range(40)]
            for sock in slow:
                sock.sendall(REQUEST[:20])
            answer = await ask(one, "/probe")
            assert answer.status == 200
            ended = [sock for sock in slow if await asyncio.to_thread(is_ended, sock)]
            # The probe needed a place as well, so the newest seven of the slow ones are left.
            assert ended == slow[:33]
            for sock in slow[33:]:
                sock.sendall(REQUEST[20:])
                assert b"hello" in await asyncio.to_thread(read_all, sock)


def is_ended(sock: socket.socket) -> bool:
    """Whether the server has ended this connection; nothing was ever sent on it."""
    sock.settimeout(0.05)
    try:
        return sock.recv(1) == b""
    except ConnectionResetError:
        return True
    except TimeoutError:
        return False
    finally:
        sock.settimeout(10)


async def test_a_connection_has_a_deadline() -> None:
    async with running(server(limits=Limits(seconds=0.3))) as one:
        with client(one) as silent, client(one) as dripping:
            began = time.monotonic()
            for n in range(1000):
                try:
                    dripping.sendall(REQUEST[n % 5 : n % 5 + 1])
                except OSError:
                    break
                await asyncio.sleep(0.02)
            assert time.monotonic() - began < 5
            assert await asyncio.to_thread(read_all, silent) == b""


async def test_a_client_that_never_reads_is_ended_and_its_handler_too() -> None:
    ended = asyncio.Event()

    async def endless(request: web.BaseRequest) -> web.StreamResponse:
        response = web.StreamResponse()
        await response.prepare(request)
        try:
            while True:
                await response.write(b"x" * 65536)
        finally:
            ended.set()

    async with running(HttpServer(LOOPBACK, SETTING, endless, Limits(seconds=0.3))) as one:
        with client(one) as sock:
            sock.sendall(REQUEST)
            await asyncio.wait_for(ended.wait(), 10)


@pytest.mark.parametrize(
    "garbage", [b"\x16\x03\x01\x02\x00\x01\x00", b"NONSENSE\r\n\r\n", b"GET / HTTP/9.9\r\n\r\n"]
)
async def test_garbage_is_refused_and_the_next_client_is_served(
    garbage: bytes, caplog: pytest.LogCaptureFixture
) -> None:
    async with running(server()) as one:
        with client(one) as sock:
            sock.sendall(garbage)
            sock.shutdown(socket.SHUT_WR)
            found = await asyncio.to_thread(read_all, sock)
            assert b"200" not in found.partition(b"\r\n")[0]
        assert (await ask(one, "/")).status == 200
    assert [record for record in caplog.records if record.levelname in {"WARNING", "ERROR"}] == []


async def test_long_headers_are_refused() -> None:
    async with running(server()) as one:
        answer = await ask(one, "/", headers=[("X-Long", "x" * 20_000)])
        assert answer.status == 400
        assert (await ask(one, "/")).status == 200


def test_half_closing_and_resetting_clients_do_no_harm_under_uvloop() -> None:
    """uvloop's transports are known to abort the process under half-close; this is the pattern of an HTTP server."""
    uvloop.run(_rude_clients())


async def _rude_clients() -> None:
    async with running(server()) as one:
        await asyncio.to_thread(_be_rude, one)
        assert (await ask(one, "/still")).text == "hello /still"


def _be_rude(one: HttpServer) -> None:
    for n in range(300):
        with client(one) as sock:
            if n % 3 == 0:
                sock.shutdown(socket.SHUT_WR)
                assert read_all(sock) == b""
            elif n % 3 == 1:
                sock.sendall(REQUEST)
                sock.shutdown(socket.SHUT_WR)
                read_all(sock)
            else:
                sock.sendall(REQUEST)
                sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")
