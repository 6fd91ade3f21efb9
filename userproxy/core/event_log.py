"""The latest events, numbered, so that every reader goes on where it was.

Owns the one bounded ring of the control process. A reader is a number: nothing is kept for it, and one that is slower than
the ring turns learns how many events it missed.
"""

from __future__ import annotations

from collections import deque
from itertools import islice

from userproxy.core.events import Event


class EventLog:
    """The latest `size` events; 0 keeps none. One writer."""

    def __init__(self, size: int) -> None:
        self.size = size
        self.added = 0
        """events there ever were: the number of the next one"""
        self.lost = 0
        """connections that workers could not report and events that readers were too slow for"""
        self._events: deque[Event] = deque(maxlen=size)

    def __len__(self) -> int:
        return len(self._events)

    @property
    def first(self) -> int:
        """The number of the oldest event that is kept."""
        return self.added - len(self._events)

    def add(self, event: Event) -> None:
        """Keep `event`, in place of the oldest when the ring is full."""
        if self.size:
            self._events.append(event)
            self.added += 1

    def read(self, number: int, limit: int) -> tuple[list[Event], int, int]:
        """Return up to `limit` events from `number` on, the number to go on with, and how many were missed before."""
        missed = max(0, self.first - number)
        self.lost += missed
        start = number + missed - self.first
        found = list(islice(self._events, start, start + limit))
        return found, self.first + start + len(found), missed
