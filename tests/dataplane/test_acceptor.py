"""What becomes of connections that were accepted, and what is told of them."""

from __future__ import annotations

import asyncio
import socket

import pytest

from tests.dataplane.rig import client_socket, echo, echo_process, endpoint, receive, rig, send, until
from userproxy.model import ListenerSpec


async def test_a_direct_connection_to_a_redirect_listener_is_refused() -> None:
    async with endpoint(echo) as address, rig(address) as proxy:
        spec = ListenerSpec(proxy.spec.key, "127.0.0.1", 0, captured_only=True)
        opened = await proxy.plane.open([spec], [])
        with client_socket() as client:
            with pytest.raises(ConnectionResetError):
                await asyncio.get_running_loop().sock_connect(client, opened.addresses[spec])
                await receive(client)
        assert proxy.counters.direct_refused == 1
        assert proxy.plane.connections == 0


async def test_a_connection_queued_when_the_last_endpoint_left_is_reset() -> None:
    async with endpoint(echo) as address, rig(address, max_connections=1) as proxy:
        with await proxy.connect() as first, await proxy.connect() as queued:
            await send(first, b"x")
            await until(lambda: proxy.plane.connections == 1)
            await proxy.serve([])
            first.close()
            with pytest.raises(ConnectionResetError):
                await receive(queued)
        assert proxy.counters.failed == 1


async def test_five_thousand_idle_connections() -> None:
    count = 5000
    async with echo_process() as address, rig(address) as proxy:
        loop = asyncio.get_running_loop()
        clients: list[socket.socket] = []
        try:
            for number in range(count):
                client = client_socket()
                clients.append(client)
                # Sources are spread, so that neither leg runs out of port numbers.
                client.bind((f"127.0.{1 + number // 1000}.1", 0))
                await loop.sock_connect(client, proxy.address)
            await until(lambda: proxy.counters.carried == count, 30)
            assert proxy.plane.connections == count
            for client in clients[:: count // 10]:
                await send(client, b"still there")
                assert await loop.sock_recv(client, 20) == b"still there"
        finally:
            for client in clients:
                client.close()
        await until(lambda: proxy.plane.connections == 0, 30)
        assert proxy.counters.active == 0


async def test_counters_that_changed_are_returned_until_nothing_is_open() -> None:
    async with endpoint(echo) as address, rig(address) as proxy:
        acceptor = proxy.plane._acceptor
        assert acceptor.changed_counters(10) == []
        with await proxy.connect() as client:
            await send(client, b"x")
            await until(lambda: proxy.counters.carried == 1)
            for _ in range(2):
                assert acceptor.changed_counters(10) == [(proxy.spec.key, proxy.counters)]
        await until(lambda: proxy.plane.connections == 0)
        # Once with what the end counted, and once more so that nothing can be missed.
        assert [key for key, _ in acceptor.changed_counters(10)] == [proxy.spec.key]
        acceptor.changed_counters(10)
        assert acceptor.changed_counters(10) == []


async def test_forgotten_ports_are_not_reported() -> None:
    async with endpoint(echo) as address, rig(address) as proxy:
        with await proxy.connect() as client:
            await send(client, b"x")
            await until(lambda: proxy.counters.carried == 1)
            acceptor = proxy.plane._acceptor
            await proxy.plane.close([proxy.spec], [proxy.spec.key])
            acceptor.forget([proxy.spec.key])
        await until(lambda: proxy.plane.connections == 0)
        assert acceptor.changed_counters(10) == []
