"""Snapshots for the live page and top: order, pages and rows."""

from __future__ import annotations

import pytest

from tests.build import buckets, key, name
from userproxy.core.counters import PortCounters
from userproxy.core.live import (
    MAX_ENDPOINTS,
    MAX_OPEN,
    PAGE_SERVICES,
    LiveQuery,
    ordered,
    page_of,
    parse_live_query,
    port_rows,
)
from userproxy.core.policy import Verdict
from userproxy.core.rates import Rates
from userproxy.core.status import EndpointView, FrontendView, ServicePortView, ServiceView
from userproxy.errors import UsageError
from userproxy.model import Family, FrontendKind

WEB, DNS = key("web"), key("dns")


NAMES = [name("dns"), name("idle"), name("web"), name("zzz")]
RATES = {WEB: Rates(open=1, new=5, sent=10), DNS: Rates(open=7, received=2)}
BUSY = {WEB: PortCounters(retries=3), DNS: PortCounters(failed=1)}


@pytest.mark.parametrize(
    ("sort", "first"),
    [
        ("name", ["dns", "idle", "web", "zzz"]),
        ("open", ["dns", "web", "idle", "zzz"]),
        ("new", ["web", "dns", "idle", "zzz"]),
        ("bytes", ["web", "dns", "idle", "zzz"]),
        ("failures", ["web", "dns", "idle", "zzz"]),
    ],
)
def test_orders(sort: str, first: list[str]) -> None:
    assert [one.name for one in ordered(NAMES, LiveQuery(sort=sort), RATES, BUSY)] == first


def test_pages() -> None:
    names = [name(str(number)) for number in range(PAGE_SERVICES + 1)]
    assert page_of(names, 0) == (names[:PAGE_SERVICES], 0, 2)
    assert page_of(names, 9) == (names[PAGE_SERVICES:], 1, 2)
    assert page_of([], 3) == ([], 0, 1)


def test_parameters() -> None:
    many = [f"default/{number}" for number in range(20)]
    query = parse_live_query("  Web ", "open", "2", many)
    assert (query.search, query.sort, query.page, len(query.opened)) == ("web", "open", 2, MAX_OPEN)


@pytest.mark.parametrize(
    ("sort", "page", "complaint"), [("size", "0", "sort: 'size'"), ("name", "-1", "page: '-1'")]
)
def test_what_is_no_parameter(sort: str, page: str, complaint: str) -> None:
    with pytest.raises(UsageError) as caught:
        parse_live_query("", sort, page, ())
    assert complaint in str(caught.value)


def endpoint(number: int, **conditions: bool) -> EndpointView:
    values = {"ready": True, "serving": True, "terminating": False, "in_use": True, **conditions}
    return EndpointView(f"10.1.0.{number}", 80, "node", **values)


def view(*endpoints: EndpointView, **chosen: object) -> ServiceView:
    values: dict[str, object] = {
        "port": "",
        "protocol": "TCP",
        "ip_family": "IPv4",
        "cluster_ip": "10.96.0.1",
        "number": 80,
        "verdict": Verdict.CARRY,
        "frontends": (
            FrontendView("127.8.0.1", 8080, "TCP", FrontendKind.LOOPBACK, ""),
            FrontendView("127.8.0.2", 8080, "TCP", FrontendKind.LOOPBACK, ""),
        ),
        "listeners": (),
        "endpoints": endpoints,
        "counters": PortCounters(
            accepted=9, active=2, bytes_sent=5, bytes_received=6, dial_buckets=buckets(_1=4)
        ),
        "warnings": ("port",),
    }
    return ServiceView("default", "web", (ServicePortView(**{**values, **chosen}),), ("service",))  # type: ignore[arg-type]


def test_a_row_counts_endpoints_by_what_they_are() -> None:
    endpoints = (
        endpoint(1),
        endpoint(2, terminating=True),
        endpoint(3, in_use=False),
        endpoint(4, in_use=False, terminating=True, ready=False),
        endpoint(5, in_use=False, ready=False),
    )
    [row] = port_rows([view(*endpoints)], {WEB: Rates(open=2, new=3)}, frozenset())
    assert (row.in_use, row.ready, row.terminating, row.unready) == (2, 1, 1, 1)
    assert (row.address, row.more_addresses, row.verdict) == ("127.8.0.1:8080", 1, "carry")
    assert (row.rates, row.accepted, row.bytes) == (Rates(open=2, new=3), 9, 11)
    assert (row.warnings, row.detail) == (("service", "port"), None)
    assert row.p50 == pytest.approx(0.00075)


def test_a_row_without_frontend_plan_and_traffic() -> None:
    bare = view(frontends=(), verdict=None, counters=PortCounters())
    [row] = port_rows([bare], {}, frozenset())
    assert (row.address, row.more_addresses, row.verdict, row.p50) == ("10.96.0.1:80", 0, "", None)


def test_families_have_rows_and_rates_of_their_own() -> None:
    six = key("web", family=Family.IPV6)
    [row] = port_rows([view(ip_family="IPv6")], {WEB: Rates(open=1), six: Rates(open=6)}, frozenset())
    assert row.rates.open == 6


def test_an_opened_service_shows_a_bounded_number_of_endpoints() -> None:
    endpoints = [endpoint(number) for number in range(MAX_ENDPOINTS + 3)]
    [row] = port_rows([view(*endpoints)], {}, frozenset({"default/web"}))
    assert row.detail is not None
    assert (len(row.detail.endpoints), row.detail.more_endpoints) == (MAX_ENDPOINTS, 3)
    assert len(row.detail.frontends) == 2
