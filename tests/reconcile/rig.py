"""A running reconcile loop with a real data plane and a capture in memory.

That capture keeps the contract of a capture (atomic changes, repair) and can be told to refuse; the kernel's captures have
tests of their own.
"""

from __future__ import annotations

import asyncio
import contextlib
import socket
import time
from collections.abc import AsyncIterator, Callable, Collection, Sequence

from userproxy.admin.health_checks import HealthCheckServers
from userproxy.core.health import SyncHealth
from userproxy.core.plan_settings import PlanSettings
from userproxy.core.service_events import Change
from userproxy.dataplane.plane import LocalPlane, PlaneSettings
from userproxy.errors import CaptureError
from userproxy.model import CaptureEntry, Frontend, NoEndpoints, ServiceName
from userproxy.reconcile.loop import Reconciler


class TableCapture:
    """Entries in a dictionary; notes for each entry added whether somebody listened at that moment."""

    def __init__(self) -> None:
        self.entries: dict[Frontend, CaptureEntry] = {}
        self.refuse = ""
        self.gate: asyncio.Event | None = None
        """what a change waits for"""
        self.listened: list[bool] = []
        self.changes = 0

    async def change(self, add: Sequence[CaptureEntry], remove: Sequence[CaptureEntry]) -> None:
        if self.gate is not None:
            await self.gate.wait()
        if self.refuse:
            raise CaptureError(self.refuse)
        self.changes += 1
        for entry in remove:
            del self.entries[entry.frontend]
        for entry in add:
            self.listened.append(accepts(entry))
            self.entries[entry.frontend] = entry

    async def repair(self, entries: Collection[CaptureEntry]) -> bool:
        if self.refuse:
            raise CaptureError(self.refuse)
        wanted = {entry.frontend: entry for entry in entries}
        changed = wanted != self.entries
        self.entries = wanted
        return changed


def accepts(entry: CaptureEntry) -> bool:
    with contextlib.closing(socket.socket()) as sock:
        sock.settimeout(1)
        return sock.connect_ex(entry.listener) == 0


class Loop:
    """A running reconciler."""

    def __init__(self, mode: str = "redirect", clock: Callable[[], float] = time.monotonic) -> None:
        self.plane = LocalPlane(PlaneSettings())
        self.capture = TableCapture()
        self.health = SyncHealth()
        self.settings = PlanSettings(mode, "127.0.0.1", "", NoEndpoints.DROP, local_ports=(39999, 39999))
        self.warned: list[tuple[ServiceName, str, str]] = []
        self.told: list[Change] = []
        self.checks = HealthCheckServers(lambda: True)
        self.reconciler = Reconciler(
            self.plane,
            self.capture,
            self.settings,
            self.health,
            clock,
            "n1",
            self.checks,
            lambda *event: self.warned.append(event),
            self.told.append,
        )


@contextlib.asynccontextmanager
async def running(mode: str = "redirect", clock: Callable[[], float] = time.monotonic) -> AsyncIterator[Loop]:
    made = Loop(mode, clock)
    await made.plane.start()
    try:
        async with asyncio.TaskGroup() as group:
            task = group.create_task(made.reconciler.run(), name="reconcile")
            yield made
            task.cancel()
    finally:
        await made.checks.stop()
        made.plane.stop()
