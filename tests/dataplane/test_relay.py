"""The contract of the relay on real sockets: no byte lost, EOF and reset passed on, memory bounded."""

from __future__ import annotations

import asyncio
import gc
import hashlib
import random
import socket
from pathlib import Path

import pytest

from tests.dataplane.rig import (
    client_socket,
    echo,
    endpoint,
    named,
    receive,
    reset,
    rig,
    send,
    until,
)
from userproxy.dataplane.sockets import SocketSettings


def resident_bytes() -> int:
    """Memory of this process from /proc (statm counts pages)."""
    gc.collect()
    return int(Path("/proc/self/statm").read_text().split()[1]) * 4096


async def test_request_and_answer() -> None:
    async with endpoint(echo) as address, rig(address) as proxy:
        with await proxy.connect() as client:
            await send(client, b"hello")
            client.shutdown(socket.SHUT_WR)
            assert await receive(client) == b"hello"
        await until(lambda: proxy.plane.connections == 0)
        counters = proxy.counters
        assert (counters.accepted, counters.carried, counters.active, counters.failed) == (1, 1, 0, 0)
        assert (counters.bytes_received, counters.bytes_sent) == (5, 5)


async def test_a_server_that_speaks_first() -> None:
    async with endpoint(named(b"220 ready")) as address, rig(address) as proxy:
        with await proxy.connect() as client:
            assert await receive(client) == b"220 ready"


async def test_a_server_that_speaks_and_closes_before_the_proxy_looks() -> None:
    """Connected, data and FIN then come in one event, which edge-triggered epoll reports once."""
    async with endpoint(named(b"220 ready")) as address, rig(address) as proxy:
        for _ in range(50):
            clients = [await proxy.connect() for _ in range(4)]
            for client in clients:
                with client:
                    assert await receive(client) == b"220 ready"


async def test_one_event_that_says_connected_readable_and_ended() -> None:
    ended = asyncio.Event()

    async def greet_and_end(sock: socket.socket) -> None:
        await send(sock, b"220 ready")
        sock.shutdown(socket.SHUT_WR)
        ended.set()

    async with endpoint(greet_and_end) as address, rig(address) as proxy:
        reactor = proxy.plane._reactor
        run_batch = reactor.run_batch
        asyncio.get_running_loop().remove_reader(reactor.epoll.fileno())
        with await proxy.connect() as client:
            # Accept and dial, and only when the endpoint has answered and closed look at the events.
            run_batch()
            await asyncio.wait_for(ended.wait(), 10)
            for _ in range(5):
                run_batch()
            assert await receive(client, 1) == b"220 ready"


async def test_many_turns_on_one_connection() -> None:
    async with endpoint(echo) as address, rig(address) as proxy:
        loop = asyncio.get_running_loop()
        with await proxy.connect() as client:
            for turn in range(200):
                message = b"%d" % turn
                await send(client, message)
                assert await loop.sock_recv(client, 100) == message


async def test_client_half_close_then_a_long_answer() -> None:
    async def answer(sock: socket.socket) -> None:
        request = await receive(sock)
        await send(sock, hashlib.sha256(request).digest() + bytes(3_000_000))

    async with endpoint(answer) as address, rig(address) as proxy:
        with await proxy.connect() as client:
            await send(client, b"x" * 2_000_000)
            client.shutdown(socket.SHUT_WR)
            answer_bytes = await receive(client)
    assert answer_bytes[:32] == hashlib.sha256(b"x" * 2_000_000).digest()
    assert len(answer_bytes) == 3_000_032


async def test_server_half_close_then_a_long_upload() -> None:
    got: list[bytes] = []

    async def answer(sock: socket.socket) -> None:
        await send(sock, b"go")
        sock.shutdown(socket.SHUT_WR)
        got.append(await receive(sock))

    async with endpoint(answer) as address, rig(address) as proxy:
        with await proxy.connect() as client:
            assert await receive(client) == b"go"
            await send(client, b"y" * 2_000_000)
            client.shutdown(socket.SHUT_WR)
            await until(lambda: bool(got))
    assert got == [b"y" * 2_000_000]


async def test_eof_without_a_byte() -> None:
    seen: list[bytes] = []

    async def wait_for_end(sock: socket.socket) -> None:
        seen.append(await receive(sock))

    async with endpoint(wait_for_end) as address, rig(address) as proxy:
        with await proxy.connect():
            pass
        await until(lambda: seen == [b""])


async def test_reset_of_the_client_reaches_the_endpoint() -> None:
    outcome: list[str] = []

    async def wait_for_reset(sock: socket.socket) -> None:
        try:
            await receive(sock)
        except ConnectionResetError:
            outcome.append("reset")
        else:
            outcome.append("end")

    async with endpoint(wait_for_reset) as address, rig(address) as proxy:
        client = await proxy.connect()
        await send(client, b"some")
        await until(lambda: proxy.counters.bytes_received == 4)
        reset(client)
        await until(lambda: bool(outcome))
        assert outcome == ["reset"]


async def test_reset_of_the_endpoint_reaches_the_client() -> None:
    async def answer_with_reset(sock: socket.socket) -> None:
        await asyncio.get_running_loop().sock_recv(sock, 10)
        reset(sock)

    async with endpoint(answer_with_reset) as address, rig(address) as proxy:
        with await proxy.connect() as client:
            await send(client, b"some")
            with pytest.raises(ConnectionResetError):
                await receive(client)
        await until(lambda: proxy.plane.connections == 0)


async def test_an_early_answer_survives_the_reset_behind_it() -> None:
    """A server that answers and closes with unread data sends the answer, then RST."""

    async def refuse_early(sock: socket.socket) -> None:
        await asyncio.get_running_loop().sock_recv(sock, 10)
        await send(sock, b"413 too large")

    async with endpoint(refuse_early) as address, rig(address) as proxy:
        with await proxy.connect() as client:
            loop = asyncio.get_running_loop()
            await send(client, b"x" * 100)
            upload = asyncio.gather(loop.sock_sendall(client, bytes(20_000_000)), return_exceptions=True)
            got = b""
            while len(got) < 13:
                got += await loop.sock_recv(client, 100)
            assert got == b"413 too large"
            [result] = await upload
            assert isinstance(result, ConnectionError)


async def test_both_ways_at_once_with_checksums() -> None:
    size = 48 << 20
    pattern = random.Random(1).randbytes(1 << 20)
    sums: dict[str, str] = {}

    async def pour(sock: socket.socket) -> None:
        for _ in range(size >> 20):
            await send(sock, pattern)
        sock.shutdown(socket.SHUT_WR)

    async def drink(sock: socket.socket, who: str) -> None:
        digest = hashlib.sha256()
        while data := await asyncio.get_running_loop().sock_recv(sock, 1 << 18):
            digest.update(data)
        sums[who] = digest.hexdigest()

    async def both(sock: socket.socket, who: str) -> None:
        async with asyncio.TaskGroup() as group:
            group.create_task(pour(sock), name="pour")
            group.create_task(drink(sock, who), name="drink")

    async def server(sock: socket.socket) -> None:
        await both(sock, "server")

    async with endpoint(server) as address, rig(address) as proxy:
        with await proxy.connect() as client:
            await both(client, "client")
        await until(lambda: len(sums) == 2)
        expected = hashlib.sha256(pattern * (size >> 20)).hexdigest()
        assert sums == {"server": expected, "client": expected}
        assert (proxy.counters.bytes_received, proxy.counters.bytes_sent) == (size, size)


async def test_a_slow_reader_costs_no_memory_and_loses_nothing() -> None:
    total = 64 << 20
    sent = 0

    async def pour(sock: socket.socket) -> None:
        nonlocal sent
        block = bytes(1 << 16)
        while sent < total:
            await send(sock, block)
            sent += len(block)

    async with endpoint(pour) as address, rig(address) as proxy:
        before = resident_bytes()
        with client_socket() as client:
            client.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 16384)
            await asyncio.get_running_loop().sock_connect(client, proxy.address)
            stuck = -1
            while sent != stuck:
                stuck = sent
                await asyncio.sleep(0.4)
            assert stuck < total, "the sender was not held back"
            assert resident_bytes() - before < 10 << 20
            assert len(await receive(client, 60)) == total


async def test_a_half_closed_connection_that_moves_nothing_is_ended() -> None:
    async def mute(sock: socket.socket) -> None:
        await asyncio.sleep(60)

    async with endpoint(mute) as address, rig(address, half_close_timeout=0.3) as proxy:
        with await proxy.connect() as client:
            client.shutdown(socket.SHUT_WR)
            with pytest.raises(ConnectionResetError):
                await receive(client)
        assert proxy.plane.connections == 0


async def test_a_half_closed_connection_that_moves_is_not_ended() -> None:
    async def drip(sock: socket.socket) -> None:
        await receive(sock)
        for _ in range(8):
            await send(sock, b".")
            await asyncio.sleep(0.2)

    async with endpoint(drip) as address, rig(address, half_close_timeout=1.2) as proxy:
        with await proxy.connect() as client:
            client.shutdown(socket.SHUT_WR)
            assert await receive(client) == b"........"


async def test_bulk_does_not_starve_others() -> None:
    """One connection moves as much as it can; another one's turns go on meanwhile (the fairness budget)."""

    async def pour(sock: socket.socket) -> None:
        if await asyncio.get_running_loop().sock_recv(sock, 1) == b"b":
            block = bytes(1 << 18)
            while True:
                await send(sock, block)
        await echo(sock)

    async def swallow(sock: socket.socket) -> None:
        loop = asyncio.get_running_loop()
        buffer = bytearray(1 << 18)
        while await loop.sock_recv_into(sock, buffer):
            pass

    async with endpoint(pour) as address, rig(address) as proxy:
        loop = asyncio.get_running_loop()
        with await proxy.connect() as bulk, await proxy.connect() as chat:
            await send(bulk, b"b")
            await send(chat, b"c")
            async with asyncio.TaskGroup() as group:
                swallowing = group.create_task(swallow(bulk), name="swallow")
                for _ in range(50):
                    await send(chat, b"ping")
                    async with asyncio.timeout(5):
                        assert await loop.sock_recv(chat, 10) == b"ping"
                moved = proxy.counters.bytes_sent
                assert moved > 1 << 20
                swallowing.cancel()


async def test_long_connections_get_keepalive_on_both_sides() -> None:
    settings = SocketSettings(keepalive=33, user_timeout=44)
    async with endpoint(echo) as address, rig(address, sockets=settings) as proxy:
        with await proxy.connect() as client:
            await send(client, b"x")
            await until(lambda: proxy.counters.carried == 1)
            [connection] = proxy.plane._acceptor.connections
            sides = connection.client.sock, connection.server.sock
            for sock in sides:
                assert sock.getsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE) == 0
            await until(lambda: connection.settled)
            for sock in sides:
                assert sock.getsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE) == 1
                assert sock.getsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPIDLE) == 33
                assert sock.getsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT) == 44_000
                assert sock.getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY) == 1


async def test_the_second_write_is_not_delayed() -> None:
    async with endpoint(echo) as address, rig(address) as proxy:
        with await proxy.connect() as client:
            loop = asyncio.get_running_loop()
            await send(client, b"one")
            await loop.sock_recv(client, 10)
            [connection] = proxy.plane._acceptor.connections
            assert connection.server.sock.getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY) == 0
            await send(client, b"two")
            await loop.sock_recv(client, 10)
            assert connection.server.sock.getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY) == 1
