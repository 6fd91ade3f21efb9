"""Rates between two samples of counters, and quantiles of dial times."""

from __future__ import annotations

import pytest

from tests.build import buckets, key
from userproxy.core.counters import PortCounters
from userproxy.core.rates import Busy, Rates, Sampler, quantile

WEB, DNS = key("web"), key("dns")


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
