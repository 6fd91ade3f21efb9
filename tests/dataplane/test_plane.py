"""The data plane as a whole: draining, stopping, failures that are reported."""

from __future__ import annotations

import asyncio
import socket

import pytest

from tests.build import key, serving_of
from tests.dataplane.rig import echo, endpoint, receive, rig, send, until
from userproxy.core.policy import Verdict
from userproxy.dataplane.plane import LocalPlane, PlaneSettings
from userproxy.model import ListenerSpec


async def test_drain_waits_for_open_connections_and_takes_no_new_ones() -> None:
    async with endpoint(echo) as address, rig(address) as proxy:
        client = await proxy.connect()
        await send(client, b"x")
        await until(lambda: proxy.plane.connections == 1)
        async with asyncio.TaskGroup() as group:
            draining = group.create_task(proxy.plane.drain(5), name="drain")
            await asyncio.sleep(0.1)
            assert not draining.done()
            with pytest.raises(ConnectionRefusedError):
                await proxy.connect()
            client.shutdown(socket.SHUT_WR)
            assert await receive(client) == b"x"
            client.close()
        assert draining.result() == 0


async def test_drain_ends_at_its_deadline_with_resets() -> None:
    async with endpoint(echo) as address, rig(address) as proxy:
        with await proxy.connect() as client:
            await send(client, b"x")
            await until(lambda: proxy.plane.connections == 1)
            assert await proxy.plane.drain(0.1) == 1
            with pytest.raises(ConnectionResetError):
                while await asyncio.get_running_loop().sock_recv(client, 10):
                    pass


async def test_drain_without_connections_returns_at_once() -> None:
    async with rig() as proxy:
        async with asyncio.timeout(10):
            assert await proxy.plane.drain(60) == 0


async def test_a_listener_that_cannot_be_opened_is_reported() -> None:
    plane = LocalPlane(PlaneSettings())
    await plane.start()
    with socket.create_server(("127.0.0.1", 0)) as taken:
        bad = ListenerSpec(key("bad"), *taken.getsockname(), captured_only=False)
        good = ListenerSpec(key("good"), "127.0.0.1", 0, captured_only=False)
        servings = [serving_of(one.key, (("127.0.0.1", 1),), Verdict.CARRY) for one in (bad, good)]
        opened = await plane.open([bad, good], servings)
    assert list(opened.failures) == [bad]
    assert list(opened.addresses) == [good]
    plane.stop()
