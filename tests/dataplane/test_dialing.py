"""Dialling: the next endpoint after a failure, deadlines, RST when all failed."""

from __future__ import annotations

import contextlib
import socket
import time
from collections import Counter

import pytest

from tests.dataplane.rig import (
    answering,
    closed_port,
    echo,
    endpoint,
    named,
    receive,
    rig,
    send,
    silent_endpoint,
    until,
)


async def test_row_1_4_17_round_robin_is_exact() -> None:
    async with contextlib.AsyncExitStack() as stack:
        names = (b"a", b"b", b"c")
        addresses = [await stack.enter_async_context(endpoint(named(name))) for name in names]
        proxy = await stack.enter_async_context(rig(*addresses))
        answers: Counter[bytes] = Counter()
        for _ in range(30):
            with await proxy.connect() as client:
                answers[await receive(client)] += 1
    assert answers == {b"a": 10, b"b": 10, b"c": 10}


async def test_a_refused_dial_goes_on_to_the_next_endpoint() -> None:
    async with endpoint(answering(b"ok")) as good, rig(closed_port(), good, closed_port()) as proxy:
        for _ in range(4):
            with await proxy.connect() as client:
                await send(client, b"sent before the endpoint was found")
                client.shutdown(socket.SHUT_WR)
                assert await receive(client) == b"ok"
        counters = proxy.counters
        assert (counters.carried, counters.failed) == (4, 0)
        assert counters.retries == counters.dial_refused > 0


async def test_a_silent_endpoint_is_left_after_its_deadline() -> None:
    with silent_endpoint() as silent:
        async with endpoint(echo) as good, rig(silent, good) as proxy:
            started = time.monotonic()
            with await proxy.connect() as client:
                await send(client, b"early bytes")
                client.shutdown(socket.SHUT_WR)
                assert await receive(client) == b"early bytes"
            assert 0.2 < time.monotonic() - started < 3.7  # what all attempts take
            assert (proxy.counters.dial_timeout, proxy.counters.retries) == (1, 1)


async def test_when_every_dial_fails_the_client_is_reset() -> None:
    async with rig(closed_port()) as proxy:
        with await proxy.connect() as client:
            with pytest.raises(ConnectionResetError):
                await receive(client)
        counters = proxy.counters
        assert (counters.failed, counters.dial_refused, counters.retries) == (1, 4, 3)
        await until(lambda: proxy.plane.connections == 0)


async def test_attempts_take_the_documented_time() -> None:
    with silent_endpoint() as one, silent_endpoint() as two:
        async with rig(one, two) as proxy:
            started = time.monotonic()
            with await proxy.connect() as client:
                with pytest.raises(ConnectionResetError):
                    await receive(client, 10)
            assert 3.7 < time.monotonic() - started < 8
            assert proxy.counters.dial_timeout == 4


async def test_more_than_four_endpoints_are_tried_when_they_refuse_at_once() -> None:
    async with endpoint(named(b"last")) as good:
        async with rig(*[closed_port() for _ in range(9)], good) as proxy:
            with await proxy.connect() as client:
                assert await receive(client) == b"last"
            assert proxy.counters.retries == 9


async def test_an_endpoint_of_an_unusable_family_is_a_failed_dial() -> None:
    async with endpoint(named(b"ok")) as good, rig(("192.0.2.1", 0), good) as proxy:
        with await proxy.connect() as client:
            assert await receive(client) == b"ok"
        assert proxy.counters.retries == 1


async def test_retries_follow_a_change_of_endpoints() -> None:
    with silent_endpoint() as silent:
        async with endpoint(named(b"new")) as good, rig(silent) as proxy:
            with await proxy.connect() as client:
                await until(lambda: proxy.plane.connections == 1)
                await proxy.serve([good])
                assert await receive(client) == b"new"


async def test_dial_times_are_counted() -> None:
    async with endpoint(named(b"ok")) as good, rig(good) as proxy:
        for _ in range(3):
            with await proxy.connect() as client:
                await receive(client)
        assert sum(proxy.counters.dial_buckets) == 3
        assert proxy.counters.dial_seconds < 3
