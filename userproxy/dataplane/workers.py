"""The worker processes of a pool: started, looked after, and replaced when they die or hang.

Owns which of them run and how soon a new one comes. What a worker is told is `dataplane.pool`'s, its process and its end of the
wire `dataplane.worker_link`'s.
"""

from __future__ import annotations

import asyncio
import logging
import os
import time
from collections.abc import Callable

from userproxy.dataplane.worker_link import WorkerLink

log = logging.getLogger(__name__)

MAX_AUTO = 8
"""Workers that `--workers auto` starts at most."""
HANG_SECONDS = 5.0
"""A worker that says nothing for so long (it reports four times a second) hangs, and is replaced."""
LOOK_SECONDS = 0.5
SHORT_LIFE = 5.0
SHORT_LIVES = 3
"""After so many lives in a row shorter than SHORT_LIFE seconds a worker is replaced after a pause only: a bug at its start
shall not eat the machine."""
RESTART_PAUSE = 2.0


def worker_count(setting: str) -> int:
    """Return the number of workers that `--workers` means: a number, or `auto` for the usable cores, at most MAX_AUTO."""
    return min(len(os.sched_getaffinity(0)), MAX_AUTO) if setting == "auto" else int(setting)


class Workers:
    """The workers of one pool, by index."""

    def __init__(
        self, count: int, launch: Callable[[int], WorkerLink], lost: Callable[[WorkerLink], None]
    ) -> None:
        """`launch` starts a worker process and tells it what it needs; `lost` hears of one that is gone, before a new one."""
        self._count = count
        self._launch = launch
        self._lost = lost
        self._short_lives = [0] * count
        self._stopping = False
        self.links: dict[int, WorkerLink] = {}
        self.replaced = 0
        """workers that died or hung and were replaced"""
        self.told: Callable[[str], None] = lambda text: None
        """is to hear of each of them"""

    def start(self) -> None:
        """Start all of them; their own start goes on meanwhile."""
        for index in range(self._count):
            self._start(index)

    async def look_after(self) -> None:
        """Kill those that hang, until cancelled; a dead one is replaced at once."""
        while True:
            await asyncio.sleep(LOOK_SECONDS)
            now = time.monotonic()
            for link in tuple(self.links.values()):
                if now - link.heard > HANG_SECONDS:
                    log.error(
                        "worker %d (pid %d) hangs; it is replaced",
                        link.index,
                        link.process.pid,
                        extra={"worker": link.index},
                    )
                    link.kill()
                    link.heard = now

    def stop(self) -> None:
        """End all of them."""
        self._stopping = True
        for link in tuple(self.links.values()):
            link.end()
        self.links.clear()

    def closed(self, link: WorkerLink) -> None:
        """The worker's wire closed without our doing: it died or was killed."""
        link.end()
        del self.links[link.index]
        self._lost(link)
        if self._stopping:
            return
        self.replaced += 1
        log.error(
            "worker %d (pid %d) ended with status %s and %d connections; it is replaced",
            link.index,
            link.process.pid,
            link.process.returncode,
            link.connections,
            extra={"worker": link.index},
        )
        self.told(f"worker {link.index} ended with {link.connections} connections; it is replaced")
        short = time.monotonic() - link.started < SHORT_LIFE
        self._short_lives[link.index] = self._short_lives[link.index] + 1 if short else 0
        if self._short_lives[link.index] < SHORT_LIVES:
            self._start(link.index)
        else:
            asyncio.get_running_loop().call_later(RESTART_PAUSE, self._start, link.index)

    def _start(self, index: int) -> None:
        if not self._stopping:
            self.links[index] = self._launch(index)
