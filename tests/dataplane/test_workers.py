"""Workers that die or hang are replaced, and cost only the connections that they had."""

from __future__ import annotations

import asyncio
import os
import signal
import socket
from collections import Counter

import pytest

from tests.dataplane.pool_rig import running
from tests.dataplane.rig import (
    answering,
    echo,
    endpoint,
    receive,
    send,
    until,
)
from userproxy.dataplane import workers as workers_module
from userproxy.dataplane.workers import worker_count


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
        proxy.pool.tell_replaced(told.append)
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
    monkeypatch.setattr(workers_module, "HANG_SECONDS", 1.5)
    async with endpoint(answering(b"ok")) as address, running(address, workers=1) as proxy:
        assert await proxy.ask() == b"ok"
        [stopped] = proxy.pids()
        os.kill(stopped, signal.SIGSTOP)
        assert await proxy.ask() == b"ok"
        assert stopped not in proxy.pids()


def test_worker_count() -> None:
    assert worker_count("3") == 3
    assert worker_count("0") == 0
    assert worker_count("auto") == min(8, len(os.sched_getaffinity(0)))
