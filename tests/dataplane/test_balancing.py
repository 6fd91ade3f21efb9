"""Balancing methods and passive ejection on real sockets: what the core decides reaches the dials, and what dials tell it."""

from __future__ import annotations

import asyncio
import contextlib
import socket
from collections import Counter

import pytest

from tests.dataplane.rig import (
    Rig,
    closed_port,
    endpoint,
    greeting,
    named,
    receive,
    reset,
    rig,
    until,
)
from userproxy.core import ejection
from userproxy.core.balancer_hash import SourceHash
from userproxy.core.networks import DROP_ALL
from userproxy.dataplane.sockets import filter_packets, unfilter_packets
from userproxy.model import Balance

LEAST = Balance.LEAST_CONNECTIONS


async def greeted(proxy: Rig) -> tuple[socket.socket, bytes]:
    """Return an open connection and the name of its endpoint."""
    client = await proxy.connect()
    return client, await asyncio.get_running_loop().sock_recv(client, 9)


@pytest.mark.parametrize("balance", [LEAST, Balance.RANDOM_TWO])
async def test_methods_by_load_see_connections_open_and_end(balance: Balance) -> None:
    async with endpoint(greeting(b"a")) as a, endpoint(greeting(b"b")) as b, rig(a, b) as proxy:
        await proxy.serve([a, b], balance=balance)
        held = dict[bytes, socket.socket]()
        with contextlib.ExitStack() as stack:
            for _ in range(2):
                client, name = await greeted(proxy)
                held[name] = stack.enter_context(client)
            assert set(held) == {b"a", b"b"}
            for name in (b"b", b"b", b"a"):
                held[name].close()
                await until(lambda: proxy.counters.active == 1)
                client, again = await greeted(proxy)
                held[name] = stack.enter_context(client)
                assert again == name


async def test_dials_that_fail_or_are_given_up_leave_no_count_behind() -> None:
    async with endpoint(greeting(b"a")) as a, rig(a) as proxy:
        with socket.create_server(("127.0.0.1", 0)) as silent:
            filter_packets(silent, DROP_ALL)
            await proxy.serve([silent.getsockname(), closed_port()], balance=LEAST)
            for _ in range(2):
                client = await proxy.connect()
                await until(lambda: proxy.counters.active == 1)
                reset(client)
                await until(lambda: proxy.counters.active == 0)
            unfilter_packets(silent)
            await proxy.serve([silent.getsockname(), a], balance=LEAST)
            with contextlib.ExitStack() as stack:
                for count in range(1, 5):
                    stack.enter_context(await proxy.connect())
                    await until(lambda: proxy.counters.carried == count)  # noqa: B023 - waited for at once
                for _ in range(2):
                    stack.enter_context(silent.accept()[0])
                silent.setblocking(False)
                with pytest.raises(BlockingIOError):
                    silent.accept()


async def test_a_method_switched_to_counts_the_connections_there_are() -> None:
    async with endpoint(greeting(b"a")) as a, endpoint(greeting(b"b")) as b, rig(a) as proxy:
        one, _ = await greeted(proxy)
        two, _ = await greeted(proxy)
        with one, two:
            await proxy.serve([a, b], balance=LEAST)
            names = []
            with contextlib.ExitStack() as stack:
                for _ in range(2):
                    client, name = await greeted(proxy)
                    stack.enter_context(client)
                    names.append(name)
            assert names == [b"b", b"b"]


async def test_options_change_while_connections_go_on() -> None:
    async with endpoint(greeting(b"a")) as a, endpoint(greeting(b"b")) as b, rig(a, b) as proxy:
        first, _ = await greeted(proxy)
        with first, contextlib.ExitStack() as stack:
            for options in (
                {"affinity_seconds": 60},
                {"affinity_seconds": 60, "eject_failures": 1},
                {"balance": Balance.RANDOM_TWO},
                {},
            ):
                await proxy.serve([a, b], **options)
                names = []
                for _ in range(4):
                    client, name = await greeted(proxy)
                    stack.enter_context(client)
                    names.append(name)
                if "affinity_seconds" in options:
                    assert len(set(names)) == 1
            assert Counter(names) == {b"a": 2, b"b": 2}
            assert proxy.counters.active == 17
            first.shutdown(socket.SHUT_WR)
            assert await receive(first) == b""


async def test_source_hash_goes_by_the_address_of_the_client() -> None:
    async with contextlib.AsyncExitStack() as stack:
        names = [b"a", b"b", b"c"]
        addresses = [await stack.enter_async_context(endpoint(named(name))) for name in names]
        proxy = await stack.enter_async_context(rig(addresses[0]))
        await proxy.serve(addresses, balance=Balance.SOURCE_HASH)
        expected = SourceHash(addresses)
        for number in range(1, 9):
            source = f"127.0.3.{number}"
            wanted = names[addresses.index(expected.pick(source))]  # type: ignore[arg-type]
            for _ in range(2):
                with await proxy.connect(source) as client:
                    assert await receive(client) == wanted


async def test_an_endpoint_that_refuses_is_ejected_and_returns(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ejection, "FIRST_REST", 1000.0)
    refusing = closed_port()
    async with endpoint(named(b"ok")) as good, rig(good) as proxy:
        await proxy.serve([refusing, good], eject_failures=3)

        async def ask(times: int) -> None:
            for _ in range(times):
                with await proxy.connect() as client:
                    assert await receive(client) == b"ok"

        await ask(20)
        counters = proxy.counters
        assert (counters.dial_refused, counters.ejections, counters.ejected) == (3, 1, 1)
        monkeypatch.setattr(ejection, "FIRST_REST", 0.0)
        monkeypatch.setattr(ejection, "LONGEST_REST", 0.0)
        await proxy.serve([good])
        await proxy.serve([refusing, good], eject_failures=3)
        await ask(10)
        assert (counters.ejections, counters.ejected) == (2, 1)
        loop = asyncio.get_running_loop()
        with socket.create_server(refusing) as back:
            back.setblocking(False)
            with await proxy.connect() as one, await proxy.connect() as two:
                trial, _ = await loop.sock_accept(back)
                trial.close()
                assert sorted([await receive(one), await receive(two)]) == [b"", b"ok"]
        assert counters.ejected == 0
