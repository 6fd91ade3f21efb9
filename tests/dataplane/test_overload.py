"""Hostile and broken clients of one Service port do not stop another one, and cost bounded memory."""

from __future__ import annotations

import asyncio
import contextlib
import socket
import sys
import time
from collections.abc import AsyncIterator
from pathlib import Path

from tests.build import key, serving_of
from tests.dataplane.rig import KEY, answering, client_socket, echo, endpoint, receive, send, serving, until
from userproxy.core.policy import Verdict
from userproxy.dataplane.plane import PlaneSettings
from userproxy.dataplane.pool import WorkerPool
from userproxy.model import Address, ListenerSpec

BURST = Path(__file__).parents[1] / "connect_burst.py"
VICTIM = ListenerSpec(KEY, "127.0.0.1", 0, captured_only=False)
OTHER = ListenerSpec(key("other"), "127.0.0.1", 0, captured_only=False)


class Proxy:
    """One worker with two Service ports: the one under attack and another."""

    def __init__(self, pool: WorkerPool, addresses: dict[ListenerSpec, Address]) -> None:
        self.pool = pool
        self.victim = addresses[VICTIM]
        self.other = addresses[OTHER]

    def resident(self) -> int:
        """Memory of the worker in bytes."""
        [link] = self.pool.links.values()
        return int(Path(f"/proc/{link.process.pid}/statm").read_text().split()[1]) * 4096

    async def other_answers(self) -> float:
        """Return the seconds that a connection to the other Service port took."""
        started = time.monotonic()
        with client_socket() as client:
            await asyncio.get_running_loop().sock_connect(client, self.other)
            client.shutdown(socket.SHUT_WR)
            assert await receive(client, 10) == b"fine"
        return time.monotonic() - started


@contextlib.asynccontextmanager
async def proxy(victim: Address, **settings: object) -> AsyncIterator[Proxy]:
    async with endpoint(answering(b"fine")) as other:
        pool = WorkerPool(PlaneSettings(**settings), 1)
        await pool.start()
        try:
            servings = [serving([victim]), serving_of(OTHER.key, (other,), Verdict.CARRY)]
            opened = await pool.open([VICTIM, OTHER], servings)
            made = Proxy(pool, opened.addresses)
            await made.other_answers()
            yield made
        finally:
            pool.stop()


async def test_a_burst_of_twenty_thousand_connects() -> None:
    async with endpoint(echo) as victim, proxy(victim) as under_attack:
        before = under_attack.resident()
        host, port = under_attack.victim
        burst = await asyncio.create_subprocess_exec(
            sys.executable, str(BURST), host, str(port), "20000", stdout=asyncio.subprocess.PIPE
        )
        answered = 0
        while burst.returncode is None:
            async with asyncio.timeout(10):
                await under_attack.other_answers()
            answered += 1
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(0.05):
                    await burst.wait()
        assert answered > 0
        assert (await burst.stdout.read()).strip() == b"20000"
        await until(lambda: under_attack.pool.connections == 0, 20)
        assert under_attack.resident() - before < 40 << 20
        assert under_attack.pool.replaced == 0


async def test_clients_that_send_a_byte_at_a_time() -> None:
    async with endpoint(echo) as victim, proxy(victim) as under_attack:
        loop = asyncio.get_running_loop()
        slow = []
        try:
            for _ in range(400):
                client = client_socket()
                slow.append(client)
                await loop.sock_connect(client, under_attack.victim)
            for _ in range(5):
                for client in slow:
                    await send(client, b"x")
                async with asyncio.timeout(5):
                    await under_attack.other_answers()
        finally:
            for client in slow:
                client.close()


async def test_clients_that_never_read() -> None:
    async def pour(sock: socket.socket) -> None:
        block = bytes(1 << 16)
        while True:
            await send(sock, block)

    async with endpoint(pour) as victim, proxy(victim) as under_attack:
        loop = asyncio.get_running_loop()
        before = under_attack.resident()
        deaf = []
        try:
            for _ in range(30):
                client = client_socket()
                client.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
                deaf.append(client)
                await loop.sock_connect(client, under_attack.victim)
            await asyncio.sleep(1)
            async with asyncio.timeout(5):
                await under_attack.other_answers()
            # At most one receive buffer of 256 KiB waits for each of them.
            assert under_attack.resident() - before < 30 * (256 << 10) + (10 << 20)
        finally:
            for client in deaf:
                client.close()


async def test_a_full_service_port_does_not_stop_the_other() -> None:
    async with endpoint(echo) as victim, proxy(victim) as under_attack:
        await under_attack.pool.open([], [serving_of(KEY, (victim,), Verdict.CARRY, max_connections=5)])
        loop = asyncio.get_running_loop()
        clients = []
        try:
            for _ in range(50):
                client = client_socket()
                clients.append(client)
                await loop.sock_connect(client, under_attack.victim)
            await until(lambda: dict(under_attack.pool.counters())[KEY].active == 5)
            async with asyncio.timeout(5):
                await under_attack.other_answers()
            assert dict(under_attack.pool.counters())[KEY].paused > 0
        finally:
            for client in clients:
                client.close()
