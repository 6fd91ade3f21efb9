"""Session affinity with two workers: one answer from both, also after one was killed."""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
from collections.abc import AsyncIterator, Sequence

from tests.dataplane.rig import KEY, answering, connect, endpoint, receive, rig, serving, until
from userproxy.dataplane.plane import PlaneSettings
from userproxy.dataplane.pool import WorkerPool
from userproxy.model import Address, ListenerSpec

SPEC = ListenerSpec(KEY, "127.0.0.1", 0, captured_only=False)
CLIENTS = [f"127.0.4.{number}" for number in range(1, 11)]
SECONDS = 10_800
EVERYBODY_AT_A = {client: {b"a"} for client in CLIENTS}


class Proxy:
    """A pool of two workers with one Service port."""

    def __init__(self, pool: WorkerPool, address: Address) -> None:
        self.pool = pool
        self.address = address

    async def serve(self, endpoints: Sequence[Address]) -> None:
        await self.pool.open([], [serving(endpoints, affinity_seconds=SECONDS)])

    async def ask(self, client: str) -> tuple[str, bytes]:
        with await connect(self.address, client) as sock:
            sock.shutdown(1)
            return client, await receive(sock)

    async def ask_from_both(self) -> dict[str, set[bytes]]:
        """Return the endpoints that 50 connections of each client got, once both workers have carried some."""
        answers: dict[str, set[bytes]] = {client: set() for client in CLIENTS}
        before = self.accepted()
        rounds = 0
        while rounds < 5 or any(self.accepted().get(pid, 0) <= before.get(pid, 0) for pid in self.pids()):
            rounds += 1
            assert rounds < 100, "one worker takes every connection"
            for client, answer in await asyncio.gather(*(self.ask(one) for one in CLIENTS * 10)):
                answers[client].add(answer)
        return answers

    def accepted(self) -> dict[int, int]:
        return {
            link.process.pid: link.counters[KEY].accepted
            for link in self.pool.links.values()
            if KEY in link.counters
        }

    def pids(self) -> list[int]:
        return [link.process.pid for link in self.pool.links.values()]


@contextlib.asynccontextmanager
async def running(endpoints: Sequence[Address]) -> AsyncIterator[Proxy]:
    pool = WorkerPool(PlaneSettings(), 2)
    await pool.start()
    try:
        opened = await pool.open([SPEC], [serving(endpoints, affinity_seconds=SECONDS)])
        yield Proxy(pool, opened.addresses[SPEC])
    finally:
        pool.stop()


async def test_a_client_keeps_its_endpoint_whichever_worker_takes_it() -> None:
    async with contextlib.AsyncExitStack() as stack:
        a, b, c = [await stack.enter_async_context(endpoint(answering(name))) for name in (b"a", b"b", b"c")]
        proxy = await stack.enter_async_context(running([a]))
        # Everybody is at `a` now: with three endpoints, hashing alone would send most clients elsewhere.
        assert await proxy.ask_from_both() == EVERYBODY_AT_A
        await until(lambda: proxy.pool.affinity.held == len(CLIENTS))
        await proxy.serve([a, b, c])
        assert await proxy.ask_from_both() == EVERYBODY_AT_A

        victim = proxy.pids()[0]
        os.kill(victim, signal.SIGKILL)
        await until(lambda: len(proxy.pids()) == 2 and victim not in proxy.pids())
        assert await proxy.ask_from_both() == EVERYBODY_AT_A

        await proxy.serve([b, c])
        moved = await proxy.ask_from_both()
        assert all(len(answers) == 1 and answers < {b"b", b"c"} for answers in moved.values())
        affinity = proxy.pool.affinity.port(KEY, SECONDS)
        await until(lambda: all(record.endpoint != a for record in affinity.clients.values()))
        await proxy.serve([a, b, c])
        assert await proxy.ask_from_both() == moved


async def test_row_1_5_7_affinity_is_switched_on_and_off_and_open_connections_stay() -> None:
    async with contextlib.AsyncExitStack() as stack:
        a, b = [await stack.enter_async_context(endpoint(answering(name))) for name in (b"a", b"b")]
        made = await stack.enter_async_context(rig(a, b))

        async def ask() -> bytes:
            with await made.connect() as sock:
                sock.shutdown(1)
                return await receive(sock)

        with await made.connect() as held:
            await until(lambda: made.counters.carried == 1)
            await made.serve([a, b], affinity_seconds=SECONDS)
            assert len({await ask() for _ in range(6)}) == 1
            await made.serve([a, b])
            assert {await ask() for _ in range(6)} == {b"a", b"b"}
            held.shutdown(1)
            assert await receive(held) in (b"a", b"b")
