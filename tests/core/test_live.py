"""Snapshots for the live page and top: rates between two samples, order, pages, rows and quantiles of dial times."""

from __future__ import annotations

import pytest

from tests.build import key, name
from userproxy.core.counters import DIAL_BUCKETS, PortCounters
from userproxy.core.live import (
    MAX_ENDPOINTS,
    MAX_OPEN,
    PAGE_SERVICES,
    Busy,
    LiveQuery,
    Rates,
    Sampler,
    ordered,
    page_of,
    parse_live_query,
    port_rows,
    quantile,
)
from userproxy.core.policy import Verdict
from userproxy.core.status import EndpointView, FrontendView, ServicePortView, ServiceView
from userproxy.errors import UsageError
from userproxy.model import Family, FrontendKind

WEB, DNS = key("web"), key("dns")


def buckets(**dials: int) -> list[int]:
    """Dials by the index of their bucket: `_3=5` is five dials in the fourth."""
    counts = [0] * (len(DIAL_BUCKETS) + 1)
    for index, number in dials.items():
        counts[int(index[1:])] = number
    return counts


def take(sampler: Sampler, busy: Busy, at: float) -> None:
    sampler.begin(at)
    for one, counters in busy.items():
        sampler.add(one, counters)
    sampler.end()


def test_the_first_sample_has_no_rates() -> None:
    sampler = Sampler()
    take(sampler, {WEB: PortCounters(accepted=100, active=3, bytes_sent=9)}, 10.0)
    assert (sampler.interval, sampler.total) == (0.0, Rates(open=3))
    assert (sampler.p50, sampler.p99) == (None, None)


def test_rates_are_by_the_second_and_add_up() -> None:
    sampler = Sampler()
    take(sampler, {WEB: PortCounters(accepted=100)}, 10.0)
    web = PortCounters(accepted=120, active=2, failed=4, retries=6, bytes_received=200, bytes_sent=1000)
    take(sampler, {WEB: web, DNS: PortCounters(accepted=10, active=1)}, 12.0)
    assert sampler.interval == 2.0
    assert sampler.rates[WEB] == Rates(2, new=10, failed=2, retried=3, received=100, sent=500)
    assert sampler.total == Rates(3, new=15, failed=2, retried=3, received=100, sent=500)


def test_service_ports_that_do_nothing_have_no_rates() -> None:
    sampler = Sampler()
    busy = {WEB: PortCounters(accepted=100), DNS: PortCounters(accepted=5, active=1)}
    take(sampler, busy, 10.0)
    take(sampler, busy, 11.0)
    assert sampler.rates == {DNS: Rates(open=1)}


def test_counters_that_began_anew_have_no_negative_rate() -> None:
    sampler = Sampler()
    take(sampler, {WEB: PortCounters(accepted=100)}, 10.0)
    take(sampler, {WEB: PortCounters(accepted=1)}, 11.0)
    assert sampler.rates[WEB].new == 0


def test_dial_times_are_those_of_the_last_interval_and_stay_while_nothing_is_dialled() -> None:
    sampler = Sampler()
    take(sampler, {WEB: PortCounters(dial_buckets=buckets(_11=1000))}, 10.0)
    take(sampler, {WEB: PortCounters(dial_buckets=buckets(_11=1000, _1=100))}, 11.0)
    assert 0.0005 < sampler.p50 < sampler.p99 <= 0.001  # type: ignore[operator]
    before = sampler.p50
    take(sampler, {WEB: PortCounters(dial_buckets=buckets(_11=1000, _1=100))}, 12.0)
    assert sampler.p50 == before
    take(sampler, {}, 13.0)
    assert sampler.p50 == before


@pytest.mark.parametrize(
    ("counts", "part", "seconds"),
    [
        (buckets(), 0.5, None),
        (buckets(_0=10), 0.5, 0.00025),
        (buckets(_1=10), 1.0, 0.001),
        (buckets(_0=50, _6=50), 0.99, 0.0495),
        (buckets(_12=1), 0.5, 2.0),
    ],
)
def test_quantiles(counts: list[int], part: float, seconds: float | None) -> None:
    assert quantile(counts, part) == (None if seconds is None else pytest.approx(seconds))


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
