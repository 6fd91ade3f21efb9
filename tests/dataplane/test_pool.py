"""Workers: handover of listeners, endpoints, changes, privileges."""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import socket
from collections import Counter
from pathlib import Path

import pytest

from tests.build import key, serving_of
from tests.dataplane.pool_rig import SPEC, running
from tests.dataplane.rig import (
    KEY,
    answering,
    echo,
    endpoint,
    named,
    receive,
    send,
    serving,
    until,
)
from userproxy.core.policy import Verdict
from userproxy.dataplane import pool as pool_module
from userproxy.model import ListenerSpec


async def test_connections_are_carried_by_workers() -> None:
    async with endpoint(echo) as address, running(address) as proxy:
        for _ in range(20):
            with await proxy.connect() as client:
                await send(client, b"hello")
                client.shutdown(socket.SHUT_WR)
                assert await receive(client) == b"hello"
        await until(lambda: dict(proxy.pool.counters())[KEY].accepted == 20)
        counters = dict(proxy.pool.counters())[KEY]
        assert (counters.carried, counters.bytes_received, counters.bytes_sent) == (20, 100, 100)
        await until(lambda: dict(proxy.pool.counters())[KEY].active == 0)


async def test_shares_over_a_thousand_connections_are_within_five_percent() -> None:
    async with contextlib.AsyncExitStack() as stack:
        names = [b"a", b"b", b"c", b"d", b"e"]
        addresses = [await stack.enter_async_context(endpoint(answering(name))) for name in names]
        proxy = await stack.enter_async_context(running(*addresses))
        answers: Counter[bytes] = Counter()
        for _ in range(100):
            answers.update(await asyncio.gather(*(proxy.ask() for _ in range(10))))
    assert sum(answers.values()) == 1000
    for name in names:
        assert abs(answers[name] - 200) <= 10, answers


async def test_workers_have_no_capabilities_and_cannot_gain_any() -> None:
    async with running() as proxy:
        for pid in proxy.pids():
            status = dict(
                line.split(":\t", 1)
                for line in Path(f"/proc/{pid}/status").read_text().splitlines()
                if ":\t" in line
            )
            for kind in ("CapInh", "CapPrm", "CapEff", "CapBnd", "CapAmb"):
                if kind == "CapBnd" and os.geteuid() != 0:
                    continue
                assert int(status[kind], 16) == 0, kind
            assert status["NoNewPrivs"] == "1"


async def test_workers_get_no_secrets_from_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SOME_TOKEN", "secret")
    async with running() as proxy:
        for pid in proxy.pids():
            assert b"SOME_TOKEN" not in Path(f"/proc/{pid}/environ").read_bytes()


async def test_drop_and_reject_and_back() -> None:
    async with endpoint(answering(b"ok")) as address, running(address) as proxy:
        for verdict in (
            Verdict.DROP,
            Verdict.REJECT,
            Verdict.CARRY,
            Verdict.REJECT,
            Verdict.DROP,
            Verdict.CARRY,
        ):
            endpoints = [address] if verdict is Verdict.CARRY else []
            await proxy.pool.open([], [serving(endpoints, verdict)])
            try:
                async with asyncio.timeout(0.3 if verdict is Verdict.DROP else 10):
                    with await proxy.connect() as client:
                        client.shutdown(socket.SHUT_WR)
                        assert await receive(client) == b"ok"
                met = Verdict.CARRY
            except TimeoutError:
                met = Verdict.DROP
            except ConnectionRefusedError:
                met = Verdict.REJECT
            assert met is verdict


async def test_endpoints_that_left_get_nothing_once_the_change_is_applied() -> None:
    async with endpoint(named(b"old")) as old, endpoint(named(b"new")) as new, running(old) as proxy:
        for _ in range(20):
            await proxy.pool.open([], [serving([old])])
            assert await proxy.ask() == b"old"
            await proxy.pool.open([], [serving([new])])
            assert await proxy.ask() == b"new"


async def test_closed_listeners_refuse_and_can_be_opened_again() -> None:
    async with endpoint(answering(b"ok")) as address, running(address) as proxy:
        await proxy.pool.close([SPEC], [KEY])
        with pytest.raises(ConnectionRefusedError):
            await proxy.connect()
        assert dict(proxy.pool.counters()) == {}
        opened = await proxy.pool.open([SPEC], [serving([address])])
        proxy.address = opened.addresses[SPEC]
        assert await proxy.ask() == b"ok"


async def test_more_listeners_than_fit_one_message_reach_every_worker() -> None:
    async with endpoint(answering(b"ok")) as address, running(workers=2) as proxy:
        specs = [ListenerSpec(key(f"s{n}"), "127.0.0.1", 0, captured_only=False) for n in range(450)]
        servings = [serving_of(spec.key, (address,), Verdict.CARRY) for spec in specs]
        opened = await proxy.pool.open(specs, servings)
        assert opened.failures == {}
        os.kill(proxy.pids()[0], signal.SIGKILL)
        await until(lambda: proxy.pool.replaced == 1 and len(proxy.pool.links) == 2)
        for spec in (specs[0], specs[199], specs[200], specs[449]):
            proxy.address = opened.addresses[spec]
            assert await proxy.ask() == b"ok"


async def test_listeners_that_wait_for_a_busy_worker_take_no_further_descriptors(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(pool_module, "CONFIRM_SECONDS", 0.05)
    async with endpoint(answering(b"ok")) as address, running(workers=1) as proxy:
        specs = [ListenerSpec(key(f"s{n}"), "127.0.0.1", 0, captured_only=False) for n in range(600)]
        # So long that the wire is full before the first listener comes.
        servings = [serving_of(spec.key, (address,) * 100, Verdict.CARRY) for spec in specs]
        os.kill(proxy.pids()[0], signal.SIGSTOP)
        before = len(os.listdir("/proc/self/fd"))
        opened = await proxy.pool.open(specs, servings)
        assert len(os.listdir("/proc/self/fd")) - before == len(specs)
        await proxy.pool.close(specs[-1:], [specs[-1].key])
        os.kill(proxy.pids()[0], signal.SIGCONT)
        for spec in (specs[0], specs[-2]):
            proxy.address = opened.addresses[spec]
            assert await proxy.ask() == b"ok"
        proxy.address = opened.addresses[specs[-1]]
        with pytest.raises(ConnectionRefusedError):
            await proxy.connect()
        assert proxy.pool.replaced == 0


async def test_drain_waits_for_the_workers_connections() -> None:
    async with endpoint(echo) as address, running(address) as proxy:
        client = await proxy.connect()
        await send(client, b"x")
        await until(lambda: proxy.pool.connections == 1)
        async with asyncio.TaskGroup() as group:
            draining = group.create_task(proxy.pool.drain(5), name="drain")
            async with asyncio.timeout(5):
                with pytest.raises(ConnectionRefusedError):
                    while True:
                        (await proxy.connect()).close()
                        await asyncio.sleep(0.02)
            assert not draining.done()
            client.shutdown(socket.SHUT_WR)
            assert await receive(client) == b"x"
            client.close()
        assert draining.result() == 0


async def test_workers_end_with_the_pool() -> None:
    async with running() as proxy:
        pids = proxy.pids()
    for pid in pids:
        assert not Path(f"/proc/{pid}").exists()


async def test_the_limit_of_connections_holds_for_each_worker() -> None:
    async with endpoint(echo) as address, running(address, max_connections=3) as proxy:
        clients = [await proxy.connect() for _ in range(9)]
        try:
            for client in clients:
                await send(client, b"x")
            await until(lambda: proxy.pool.connections == 6 and proxy.pool.paused > 0)
            await asyncio.sleep(0.4)
            assert proxy.pool.connections == 6
        finally:
            for client in clients:
                client.close()
        await until(lambda: dict(proxy.pool.counters())[KEY].accepted == 9)
