"""Records of connections as the data plane makes them: what one is, and how many of them are kept.

Owns the record, the sampling above a rate and the bounded ring. Times are seconds of the monotonic clock and come in as
arguments. What people see of a record, and in which words, is `core.events`' business.
"""

from __future__ import annotations

import enum
from collections import deque
from math import ceil

import msgspec

from userproxy.model import Address, PortKey

RATE = 1000.0
"""Records a second and ring that are kept one by one; above it one in n is."""
WINDOW = 0.25
"""Seconds between two looks at the rate."""


class Outcome(enum.Enum):
    """What became of a connection."""

    OPENED = "opened"
    """an endpoint carries it, and it is not over"""
    CLOSED = "closed"
    """over, in order: each side got the other's FIN"""
    RESET = "reset"
    """over by a reset, for the reason given"""
    REFUSED = "refused"
    """reset because no endpoint took it"""


class Flow(msgspec.Struct, frozen=True, array_like=True, gc=False):
    """One connection at one moment."""

    key: PortKey
    outcome: Outcome
    client: Address
    endpoint: Address | None
    """the one that carries it, or the last one that was tried"""
    opened: float
    """when it was accepted"""
    at: float
    """when this was recorded"""
    dialled: float
    """when the last dial began; the time before it went to endpoints that did not answer"""
    received: int
    """bytes from the client"""
    sent: int
    """bytes to the client"""
    failed: tuple[Address, ...]
    """endpoints that were tried in vain"""
    reason: str
    weight: int
    """how many connections this record stands for"""


class FlowRing:
    """The latest `size` records, with one in n kept above RATE. One writer.

    For each connection that might be recorded: when `skip` is 0 or `now` is past `due`, `weigh` and `add`, else `skip -= 1`.
    That test is left to the caller, since it is all that a connection costs at high rates.
    """

    __slots__ = ("_every", "_since", "_weighed", "due", "overwritten", "records", "size", "skip")

    def __init__(self, size: int) -> None:
        self.size = size
        self.records: deque[Flow] = deque(maxlen=size)
        self.overwritten = 0
        """records that made place for later ones before anybody took them"""
        self.skip = 0
        """connections to come that are not recorded"""
        self.due = 0.0
        """when the rate is looked at again"""
        self._every = 1
        self._weighed = 0
        self._since = 0.0

    def weigh(self, now: float) -> int:
        """Return how many connections the record to be made at `now` stands for: this one and those to be skipped."""
        if now >= self.due:
            seen = self._weighed - self.skip
            # A tenth more than RATE is no reason to leave out every other one.
            self._every = max(1, ceil(seen / (RATE * max(WINDOW, now - self._since)) - 0.1))
            self._since = now
            self.due = now + WINDOW
            self._weighed = 0
        self._weighed += self._every
        self.skip = self._every - 1
        return self._every

    def add(self, record: Flow) -> None:
        """Keep a record."""
        if len(self.records) == self.size:
            self.overwritten += 1
        self.records.append(record)

    def take(self) -> tuple[list[Flow], int]:
        """Return the records kept, the oldest first, and how many were overwritten; both are forgotten."""
        taken, lost = list(self.records), self.overwritten
        self.records.clear()
        self.overwritten = 0
        return taken, lost
