"""What Service ports do in a second: rates between two samples of counters, and quantiles of the times that dials took.

Owns the comparison of a sample with the one before. Who takes samples, and when, is `admin.live`'s; what is shown of them is
`core.live`'s.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from itertools import accumulate
from typing import TypeAlias

import msgspec

from userproxy.core.counters import DIAL_BUCKETS, PortCounters
from userproxy.model import PortKey

Busy: TypeAlias = Mapping[PortKey, PortCounters]
Counts: TypeAlias = tuple[int, int, int, int, int, tuple[int, ...]]
"""accepted, failed, retried, received, sent, and dials by time"""


class Rates(msgspec.Struct, frozen=True):
    """What one Service port, or all together, did in the last second or so; all but `open` are per second."""

    open: int = 0
    new: float = 0.0
    failed: float = 0.0
    retried: float = 0.0
    received: float = 0.0
    sent: float = 0.0


class Sampler:
    """Rates of one reader: each sample of counters is compared with the one before.

    `begin`, `add` for every Service port that had a connection, `end`: so whoever reads thousands can stop in between.
    """

    def __init__(self) -> None:
        self.interval = 0.0
        """seconds between the last two samples; 0 before the second one"""
        self.rates: dict[PortKey, Rates] = {}
        """of Service ports that did anything or have connections open"""
        self.total = Rates()
        self.p50: float | None = None
        self.p99: float | None = None
        self._at: float | None = None
        self._before: dict[PortKey, Counts] = {}
        self._next: dict[PortKey, Counts] = {}
        self._rates: dict[PortKey, Rates] = {}
        self._dials: list[int] = []

    def begin(self, at: float) -> None:
        """Begin a sample at `at`, seconds of the monotonic clock."""
        self.interval = 0.0 if self._at is None else max(at - self._at, 0.001)
        self._at = at
        self._next = {}
        self._rates = {}
        self._dials = [0] * (len(DIAL_BUCKETS) + 1)

    def add(self, key: PortKey, one: PortCounters) -> None:
        """Take the counters of one Service port."""
        counts = (
            one.accepted,
            one.failed,
            one.retries,
            one.bytes_received,
            one.bytes_sent,
            tuple(one.dial_buckets),
        )
        before = self._before.get(key, _NOTHING) if self.interval else counts
        if counts == before:
            # Most of ten thousand: they cost a comparison.
            self._next[key] = before
            if one.active:
                self._rates[key] = Rates(one.active)
            return
        self._next[key] = counts
        self._rates[key] = _rates(one.active, counts, before, self.interval)
        self._dials = [
            dials + max(0, now - then)
            for dials, now, then in zip(self._dials, counts[5], before[5], strict=True)
        ]

    def end(self) -> None:
        """The sample is complete: `rates` and the totals are of it from now on."""
        self._before, self.rates = self._next, self._rates
        self.total = _sum(self.rates.values())
        if any(self._dials):
            self.p50, self.p99 = quantile(self._dials, 0.5), quantile(self._dials, 0.99)


_NOTHING: Counts = (0, 0, 0, 0, 0, (0,) * (len(DIAL_BUCKETS) + 1))


def quantile(buckets: Sequence[int], part: float) -> float | None:
    """Return the time that `part` of the dials stayed below, by interpolation within a bucket; None without any dial."""
    total = sum(buckets)
    if not total:
        return None
    wanted = total * part
    sums = list(accumulate(buckets))
    index = next(number for number, count in enumerate(sums) if count >= wanted)
    low = DIAL_BUCKETS[index - 1] if index else 0.0
    high = DIAL_BUCKETS[index] if index < len(DIAL_BUCKETS) else low
    within = (wanted - (sums[index] - buckets[index])) / buckets[index]
    return low + (high - low) * within


def _rates(active: int, now: Counts, before: Counts, seconds: float) -> Rates:
    # Counters start anew when a Service port is removed and made again.
    new, failed, retried, received, sent = (
        max(0, one - other) / seconds for one, other in zip(now[:5], before[:5], strict=True)
    )
    return Rates(active, new, failed, retried, received, sent)


def _sum(rates: Iterable[Rates]) -> Rates:
    total = [0.0] * 5
    active = 0
    for one in rates:
        active += one.open
        for number, value in enumerate((one.new, one.failed, one.retried, one.received, one.sent)):
            total[number] += value
    return Rates(active, *total)
