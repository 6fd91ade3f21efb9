"""Counters of all workers, dead ones too, add up."""

from __future__ import annotations

import os
import signal

from tests.dataplane.pool_rig import running
from tests.dataplane.rig import (
    KEY,
    answering,
    endpoint,
    until,
)


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
