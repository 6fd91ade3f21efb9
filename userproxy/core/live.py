"""What the live page and `userproxy top` show: a bounded view of the busiest or the chosen Services, once a second.

Owns the shape of a snapshot (JSON keys are the field names), rates between two of them, search, order and paging. However many
Services there are, a snapshot holds one page of them, and endpoints only of those that are opened. Who asks for snapshots and
how they travel is `admin.live`'s.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from datetime import datetime
from itertools import accumulate
from typing import TypeAlias

import msgspec

from userproxy.core.addresses import address_text
from userproxy.core.counters import DIAL_BUCKETS, PortCounters
from userproxy.core.status import (
    FAMILY_NAMES,
    CaptureView,
    EndpointView,
    FrontendView,
    ServicePortView,
    ServiceView,
    WatchView,
    WorkersView,
)
from userproxy.errors import UsageError
from userproxy.model import Family, PortKey, ServiceName, ServicePortName

PAGE_SERVICES = 50
"""Services in one snapshot at most."""
MAX_OPEN = 8
"""Services whose endpoints are in a snapshot at most."""
MAX_ENDPOINTS = 250
"""Endpoints of one Service port in a snapshot at most."""

SORTS = {
    "name": "namespace and name",
    "open": "connections open now",
    "new": "new connections a second",
    "bytes": "bytes a second, both ways",
    "failures": "failed dials and connections a second, then in all",
}
"""Orders of Services; each but the first puts the largest first and Services without any traffic last, by name."""


class Rates(msgspec.Struct, frozen=True):
    """What one Service port, or all together, did in the last second or so; all but `open` are per second."""

    open: int = 0
    new: float = 0.0
    failed: float = 0.0
    retried: float = 0.0
    received: float = 0.0
    sent: float = 0.0


class PortDetail(msgspec.Struct, frozen=True):
    """What is shown of a Service port that is opened."""

    frontends: tuple[FrontendView, ...]
    endpoints: tuple[EndpointView, ...]
    more_endpoints: int
    dial_buckets: tuple[int, ...]
    dial_refused: int
    dial_unreachable: int
    dial_timeout: int
    dial_other: int


class PortRow(msgspec.Struct, frozen=True):
    """One Service port on one family. Endpoints are counted by what they are: each is one of four."""

    namespace: str
    service: str
    port: str
    protocol: str
    ip_family: str
    number: int
    address: str
    """a frontend, `IP:port`"""
    more_addresses: int
    verdict: str
    """carry, drop or reject; empty until a plan was applied"""
    in_use: int
    ready: int
    """ready, but not used here: topology or policy prefers others"""
    terminating: int
    unready: int
    rates: Rates
    accepted: int
    failed: int
    retried: int
    bytes: int
    p50: float | None
    """median of the seconds that successful dials took; None before the first one"""
    p99: float | None
    warnings: tuple[str, ...]
    detail: PortDetail | None = None


class LiveSnapshot(msgspec.Struct, frozen=True):
    """One second. `found` Services match the search, of `services` in all; `rows` are those of the page."""

    time: datetime
    started: datetime
    version: str
    ready: bool
    healthy: bool
    waiting_for: tuple[str, ...]
    capture: CaptureView
    workers: WorkersView
    watches: tuple[WatchView, ...]
    warnings: tuple[str, ...]
    without_endpoints: int
    """Service ports that have no usable endpoint"""
    interval: float
    """seconds that the rates are of; 0 in the first snapshot, which has none"""
    rates: Rates
    accepted: int
    failed: int
    p50: float | None
    """median of the seconds that successful dials took lately; None before the first one"""
    p99: float | None
    services: int
    found: int
    page: int
    pages: int
    rows: tuple[PortRow, ...]


class LiveQuery(msgspec.Struct, frozen=True):
    """What one reader looks at. `opened` are Services as `namespace/name`."""

    search: str = ""
    sort: str = "name"
    page: int = 0
    opened: frozenset[str] = frozenset()


_IDLE = Rates()
Busy: TypeAlias = Mapping[PortKey, PortCounters]


Counts: TypeAlias = tuple[int, int, int, int, int, tuple[int, ...]]
"""accepted, failed, retried, received, sent, and dials by time"""


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


def parse_live_query(search: str, sort: str, page: str, opened: Iterable[str]) -> LiveQuery:
    """Return what the parameters mean. Raises UsageError."""
    if sort not in SORTS:
        raise UsageError(f"sort: {sort!r} is no order; there are {', '.join(SORTS)}")
    if not (page.isascii() and page.isdigit() and len(page) < 8):
        raise UsageError(f"page: {page!r} is no number of a page")
    return LiveQuery(search.strip().lower()[:200], sort, int(page), frozenset(list(opened)[:MAX_OPEN]))


def ordered(
    names: Sequence[ServiceName], query: LiveQuery, rates: Mapping[PortKey, Rates], busy: Busy
) -> list[ServiceName]:
    """Return `names`, which come by name, in the order that `query` asks for."""
    if query.sort == "name":
        return list(names)
    weights: dict[ServiceName, float] = {}
    keys: Iterable[PortKey] = busy if query.sort == "failures" else rates
    weigh = _WEIGHTS[query.sort]
    for key in keys:
        weight = weigh(rates.get(key) or _IDLE, busy[key])
        if weight:
            service = key.name.service
            weights[service] = weights.get(service, 0.0) + weight
    first = [name for name in names if weights.get(name)]
    first.sort(key=lambda name: -weights[name])
    return first + [name for name in names if not weights.get(name)]


def page_of(names: Sequence[ServiceName], page: int) -> tuple[Sequence[ServiceName], int, int]:
    """Return one page of `names`, its number (the last one when there is none such), and how many there are."""
    pages = max(1, -(-len(names) // PAGE_SERVICES))
    page = min(page, pages - 1)
    return names[page * PAGE_SERVICES : (page + 1) * PAGE_SERVICES], page, pages


def port_rows(
    views: Iterable[ServiceView], rates: Mapping[PortKey, Rates], opened: frozenset[str]
) -> tuple[PortRow, ...]:
    """Return the rows of Services, `opened` ones with their endpoints."""
    return tuple(
        _row(view, port, rates, detailed=f"{view.namespace}/{view.name}" in opened)
        for view in views
        for port in view.ports
    )


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


def _failures(rates: Rates, counters: PortCounters) -> float:
    return (rates.failed + rates.retried) * 1e9 + counters.failed + counters.retries


_WEIGHTS: dict[str, Callable[[Rates, PortCounters], float]] = {
    "open": lambda rates, counters: rates.open,
    "new": lambda rates, counters: rates.new,
    "bytes": lambda rates, counters: rates.received + rates.sent,
    "failures": _failures,
}


def _row(
    view: ServiceView, port: ServicePortView, rates: Mapping[PortKey, Rates], *, detailed: bool
) -> PortRow:
    counters = port.counters
    kinds = [_kind(endpoint) for endpoint in port.endpoints]
    frontend = port.frontends[0] if port.frontends else None
    family = Family.IPV6 if port.ip_family == FAMILY_NAMES[Family.IPV6] else Family.IPV4
    key = PortKey(ServicePortName(view.namespace, view.name, port.port, port.protocol), family)
    return PortRow(
        namespace=view.namespace,
        service=view.name,
        port=port.port,
        protocol=port.protocol,
        ip_family=port.ip_family,
        number=port.number,
        address=address_text(
            (frontend.address, frontend.port) if frontend else (port.cluster_ip, port.number)
        ),
        more_addresses=max(0, len(port.frontends) - 1),
        verdict=port.verdict.value if port.verdict else "",
        in_use=kinds.count("in_use"),
        ready=kinds.count("ready"),
        terminating=kinds.count("terminating"),
        unready=kinds.count("unready"),
        rates=rates.get(key) or Rates(counters.active),
        accepted=counters.accepted,
        failed=counters.failed,
        retried=counters.retries,
        bytes=counters.bytes_received + counters.bytes_sent,
        p50=quantile(counters.dial_buckets, 0.5),
        p99=quantile(counters.dial_buckets, 0.99),
        warnings=view.warnings + port.warnings,
        detail=_detail(port) if detailed else None,
    )


def _detail(port: ServicePortView) -> PortDetail:
    counters = port.counters
    return PortDetail(
        frontends=port.frontends[:MAX_ENDPOINTS],
        endpoints=port.endpoints[:MAX_ENDPOINTS],
        more_endpoints=max(0, len(port.endpoints) - MAX_ENDPOINTS),
        dial_buckets=tuple(counters.dial_buckets),
        dial_refused=counters.dial_refused,
        dial_unreachable=counters.dial_unreachable,
        dial_timeout=counters.dial_timeout,
        dial_other=counters.dial_other,
    )


def _kind(endpoint: EndpointView) -> str:
    if endpoint.in_use:
        return "in_use"
    if endpoint.terminating:
        return "terminating"
    return "ready" if endpoint.ready else "unready"
