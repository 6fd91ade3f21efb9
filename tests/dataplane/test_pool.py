"""Workers: handover of listeners, replacement after death and hang, privileges, counters that add up."""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import socket
from collections import Counter
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from tests.build import key, serving_of
from tests.dataplane.rig import (
    KEY,
    answering,
    connect,
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
from userproxy.dataplane.plane import PlaneSettings
from userproxy.dataplane.pool import WorkerPool, worker_count
from userproxy.model import Address, ListenerSpec

SPEC = ListenerSpec(KEY, "127.0.0.1", 0, captured_only=False)


class Running:
    """A started pool with one Service port."""

    def __init__(self, pool: WorkerPool, address: Address) -> None:
        self.pool = pool
        self.address = address

    async def connect(self) -> socket.socket:
        return await connect(self.address)

    async def ask(self) -> bytes:
        """Return the answer on one connection."""
        with await self.connect() as client:
            client.shutdown(socket.SHUT_WR)
            return await receive(client)

    def pids(self) -> list[int]:
        return [link.process.pid for link in self.pool.links.values()]


@contextlib.asynccontextmanager
async def running(*endpoints: Address, workers: int = 2, **settings: object) -> AsyncIterator[Running]:
    pool = WorkerPool(PlaneSettings(**settings), workers)
    await pool.start()
    try:
        async with asyncio.TaskGroup() as group:
            task = group.create_task(pool.run(), name="pool")
            opened = await pool.open([SPEC], [serving(endpoints)])
            await pool.close([], [])
            yield Running(pool, opened.addresses[SPEC])
            task.cancel()
    finally:
        pool.stop()


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


async def test_a_killed_worker_is_replaced_within_a_second_and_takes_only_its_own_connections() -> None:
    async with endpoint(echo) as address, running(address) as proxy:
        loop = asyncio.get_running_loop()
        clients = [await proxy.connect() for _ in range(40)]
        for client in clients:
            await send(client, b"x")
            assert await loop.sock_recv(client, 1) == b"x"
        await until(lambda: proxy.pool.connections == 40)
        shares = {link.process.pid: link.connections for link in proxy.pool.links.values()}
        victim = max(shares, key=lambda pid: shares[pid])
        told: list[str] = []
        proxy.pool.told = told.append
        os.kill(victim, signal.SIGKILL)
        await until(lambda: len(proxy.pool.links) == 2 and victim not in proxy.pids())
        assert [text.partition(" ended with ")[2] for text in told] == [
            f"{shares[victim]} connections; it is replaced"
        ]
        lost = 0
        for client in clients:
            try:
                await send(client, b"y")
                # The kernel closes the sockets of a killed process in order: FIN, or RST once something is sent to it.
                lost += await loop.sock_recv(client, 1) != b"y"
            except ConnectionError:
                lost += 1
            client.close()
        assert lost == shares[victim]
        assert proxy.pool.replaced == 1


async def test_no_connection_attempt_is_lost_while_the_only_worker_is_replaced() -> None:
    async with endpoint(answering(b"ok")) as address, running(address, workers=1) as proxy:
        assert await proxy.ask() == b"ok"
        [victim] = proxy.pids()
        os.kill(victim, signal.SIGKILL)
        queued = [await proxy.connect() for _ in range(20)]
        for client in queued:
            with client:
                client.shutdown(socket.SHUT_WR)
                assert await receive(client) == b"ok"
        assert proxy.pids() != [victim]


async def test_under_load_a_killed_worker_costs_only_connections_it_had() -> None:
    async with endpoint(answering(b"ok")) as address, running(address) as proxy:
        stop = asyncio.Event()
        outcomes: Counter[str] = Counter()

        async def load() -> None:
            while not stop.is_set():
                try:
                    outcomes["ok" if await proxy.ask() == b"ok" else "short"] += 1
                except ConnectionResetError:
                    outcomes["reset"] += 1

        async def kill_twice() -> None:
            for killed in range(2):
                await until(lambda: outcomes["ok"] > 50 * (killed + 1), 20)  # noqa: B023 - called here only
                os.kill(proxy.pids()[0], signal.SIGKILL)
                await until(lambda: proxy.pool.replaced == killed + 1, 20)  # noqa: B023
            stop.set()

        async with asyncio.TaskGroup() as group:
            for number in range(8):
                group.create_task(load(), name=f"client {number}")
            group.create_task(kill_twice(), name="killer")
        assert outcomes["ok"] > 100
        assert outcomes["reset"] + outcomes["short"] <= 16, outcomes
        assert set(outcomes) <= {"ok", "reset", "short"}
        assert proxy.pool.replaced == 2


async def test_a_hanging_worker_is_replaced(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pool_module, "HANG_SECONDS", 1.5)
    async with endpoint(answering(b"ok")) as address, running(address, workers=1) as proxy:
        assert await proxy.ask() == b"ok"
        [stopped] = proxy.pids()
        os.kill(stopped, signal.SIGSTOP)
        assert await proxy.ask() == b"ok"
        assert stopped not in proxy.pids()


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


async def test_counters_of_dead_workers_add_up() -> None:
    async with endpoint(answering(b"ok")) as address, running(address) as proxy:
        for _ in range(30):
            await proxy.ask()
        await until(lambda: dict(proxy.pool.counters())[KEY].accepted == 30)
        for pid in proxy.pids():
            os.kill(pid, signal.SIGKILL)
        await until(lambda: proxy.pool.replaced == 2 and len(proxy.pool.links) == 2)
        for _ in range(10):
            await proxy.ask()
        await until(lambda: dict(proxy.pool.counters())[KEY].accepted == 40)
        counters = dict(proxy.pool.counters())[KEY]
        assert (counters.carried, counters.active) == (40, 0)


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
            await asyncio.sleep(0.2)
            assert not draining.done()
            with pytest.raises(ConnectionRefusedError):
                await proxy.connect()
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


def test_worker_count() -> None:
    assert worker_count("3") == 3
    assert worker_count("0") == 0
    assert worker_count("auto") == min(8, len(os.sched_getaffinity(0)))
