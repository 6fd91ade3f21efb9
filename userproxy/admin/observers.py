"""Who follows events: the log they read from, and the data plane that is asked for records only while somebody reads.

Owns the event log of this process, the count of readers and the turning of records into events. The ring itself is
`core.event_log`'s, records are the data plane's.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager
from typing import TypeAlias

from userproxy.admin.wallclock import WallClock
from userproxy.core.event_log import EventLog
from userproxy.core.events import LostEvent, connection_event
from userproxy.core.flows import Flow
from userproxy.core.service_events import Change

Deliver: TypeAlias = Callable[[Sequence[Flow], int], None]
Follow: TypeAlias = Callable[[Deliver | None], Awaitable[None]]
"""Asks the data plane for its records, those kept and those to come, or with None for none any more."""


class Observers:
    """Readers of events. One event loop."""

    def __init__(self, log: EventLog, follow: Follow, clock: WallClock) -> None:
        self.log = log
        self.readers = 0
        """how many follow now"""
        self._follow = follow
        self._clock = clock
        self._turn = asyncio.Lock()

    @asynccontextmanager
    async def reading(self) -> AsyncIterator[EventLog]:
        """Let the data plane deliver as long as this lasts; what it kept until now has been delivered at the start."""
        async with self._turn:
            self.readers += 1
            if self.readers == 1:
                await self._follow(self._deliver)
        try:
            yield self.log
        finally:
            async with self._turn:
                self.readers -= 1
                if not self.readers:
                    await self._follow(None)

    def changed(self, change: Change) -> None:
        """Take a change that the reconcile loop made or met."""
        self.log.add(change.event(self._clock.at(change.at)))

    def _deliver(self, flows: Sequence[Flow], lost: int) -> None:
        for flow in flows:
            self.log.add(connection_event(flow, self._clock.at))
        if lost and flows:
            self.log.lost += lost
            self.log.add(LostEvent(time=self._clock.at(flows[0].at), count=lost))
