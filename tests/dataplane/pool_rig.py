"""A pool of worker processes with one Service port on loopback."""

from __future__ import annotations

import asyncio
import contextlib
import socket
from collections.abc import AsyncIterator

from tests.dataplane.rig import KEY, connect, receive, serving
from userproxy.dataplane.plane import PlaneSettings
from userproxy.dataplane.pool import WorkerPool
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
