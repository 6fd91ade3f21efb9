"""Draining on real sockets: connections to an endpoint that left are reset in time, all others go on."""

from __future__ import annotations

import asyncio
import contextlib
import socket
from collections.abc import AsyncIterator

import pytest

from tests.dataplane.rig import (
    KEY,
    Rig,
    closed_port,
    echo,
    endpoint,
    named,
    receive,
    rig,
    send,
    serving,
    silent_endpoint,
    until,
)
from userproxy.model import Address

GONE = closed_port()


@contextlib.asynccontextmanager
async def carried(**options: object) -> AsyncIterator[tuple[Rig, Address, socket.socket]]:
    """A proxy with one echoing endpoint, and a connection to it."""
    async with endpoint(echo) as address, rig(address) as proxy:
        await proxy.serve([address], **options)
        with await proxy.connect() as client:
            assert await alive(client)
            yield proxy, address, client


async def alive(client: socket.socket) -> bool:
    await send(client, b"x")
    return await asyncio.get_running_loop().sock_recv(client, 1) == b"x"


async def was_reset(client: socket.socket) -> bool:
    try:
        await receive(client)
    except ConnectionResetError:
        return True
    return False


async def test_without_it_connections_go_on() -> None:
    async with carried() as (proxy, _, client):
        await proxy.serve([GONE])
        await proxy.plane.close([proxy.spec], [KEY])
        assert await alive(client)


async def test_at_once() -> None:
    async with carried(drain_seconds=0) as (proxy, _, client):
        await proxy.serve([GONE], drain_seconds=0)
        assert await was_reset(client)
        await until(lambda: proxy.plane.connections == 0)


async def test_after_a_time() -> None:
    async with carried(drain_seconds=0.1) as (proxy, _, client):
        await proxy.serve([GONE], drain_seconds=0.1)
        assert await was_reset(client)


async def test_other_endpoints_keep_their_connections() -> None:
    async with endpoint(echo) as one, endpoint(echo) as two, rig(one, two) as proxy:
        with await proxy.connect() as first, await proxy.connect() as second:
            assert await alive(first)
            assert await alive(second)
            await proxy.serve([two], drain_seconds=0)
            assert await was_reset(first)
            assert await alive(second)


async def test_an_endpoint_that_comes_back_keeps_its_connections() -> None:
    async with carried(drain_seconds=1000) as (proxy, address, client):
        await proxy.serve([GONE], drain_seconds=1000)
        await proxy.serve([address], drain_seconds=0)
        assert await alive(client)


@pytest.mark.parametrize("seconds", [0, 0.1])
async def test_a_service_that_is_gone(seconds: float) -> None:
    async with carried(drain_seconds=seconds) as (proxy, _, client):
        await proxy.plane.close([proxy.spec], [KEY])
        assert await was_reset(client)


async def test_a_service_that_is_replaced_keeps_its_connections_while_the_endpoint_is_there() -> None:
    async with carried(drain_seconds=1000) as (proxy, address, client):
        await proxy.plane.close([proxy.spec], [KEY])
        await proxy.plane.open([proxy.spec], [serving([address], drain_seconds=0)])
        assert await alive(client)
        await proxy.serve([GONE], drain_seconds=0)
        assert await was_reset(client)


async def test_switched_on_it_counts_for_endpoints_that_left_before() -> None:
    async with carried() as (proxy, _, client):
        await proxy.serve([GONE])
        assert await alive(client)
        await proxy.serve([GONE], drain_seconds=0)
        assert await was_reset(client)


async def test_switched_off_it_ends() -> None:
    async with carried(drain_seconds=1000) as (proxy, _, client):
        await proxy.serve([GONE], drain_seconds=1000)
        await proxy.serve([GONE])
        assert await alive(client)


async def test_a_connection_that_is_still_dialled_goes_to_another_endpoint() -> None:
    with silent_endpoint() as silent:
        async with endpoint(named(b"ok")) as good, rig(silent) as proxy:
            with await proxy.connect() as client:
                await until(lambda: proxy.counters.active == 1)
                await proxy.serve([good], drain_seconds=0)
                assert await receive(client) == b"ok"
            assert (proxy.counters.dial_timeout, proxy.counters.failed) == (0, 0)
