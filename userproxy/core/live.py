"""What the live page and `userproxy top` show: a bounded view of the busiest or the chosen Services, once a second.

Owns the shape of a snapshot (JSON keys are the field names), search, order and paging; rates are `core.rates`'s. However many
Services there are, a snapshot holds one page of them, and endpoints only of those that are opened. Who asks for snapshots and
how they travel is `admin.live`'s.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from datetime import datetime

import msgspec

from userproxy.core.addresses import address_text
from userproxy.core.counters import PortCounters
from userproxy.core.rates import Busy, Rates, quantile
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
