"""The life of a connection: clients that leave early, endpoints and Services that leave before it ends."""

from __future__ import annotations

import asyncio
import socket

from tests.dataplane.rig import (
    echo,
    endpoint,
    named,
    receive,
    reset,
    rig,
    send,
    silent_endpoint,
    until,
)


async def test_a_client_that_resets_while_dialling_is_forgotten() -> None:
    with silent_endpoint() as silent:
        async with rig(silent) as proxy:
            client = await proxy.connect()
            await until(lambda: proxy.plane.connections == 1)
            reset(client)
            await until(lambda: proxy.plane.connections == 0)
            assert proxy.counters.dial_timeout == 0


async def test_a_client_that_half_closes_while_dialling_is_served() -> None:
    with silent_endpoint() as silent:
        async with endpoint(echo) as good, rig(silent, good) as proxy:
            with await proxy.connect() as client:
                await send(client, b"all")
                client.shutdown(socket.SHUT_WR)
                assert await receive(client) == b"all"


async def test_row_1_4_19_open_connections_outlive_their_endpoint_and_their_service() -> None:
    async with endpoint(echo) as old, endpoint(named(b"new")) as new, rig(old) as proxy:
        loop = asyncio.get_running_loop()
        with await proxy.connect() as client:
            await send(client, b"1")
            assert await loop.sock_recv(client, 10) == b"1"
            await proxy.serve([new])
            with await proxy.connect() as other:
                assert await receive(other) == b"new"
            await proxy.plane.close([proxy.spec], [proxy.spec.key])
            await send(client, b"2")
            assert await loop.sock_recv(client, 10) == b"2"
