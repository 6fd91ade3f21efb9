"""One Service port's balancing: which method the options mean, what both sets share, and changes while connections run."""

from __future__ import annotations

from collections import Counter

import pytest

from tests.build import key
from userproxy.core.affinity import AffinityRecords, Sticky
from userproxy.core.balancer import RoundRobin
from userproxy.core.balancer_hash import SourceHash
from userproxy.core.balancer_load import LeastConnections, RandomTwo
from userproxy.core.balancing import Balancing
from userproxy.core.counters import PortCounters
from userproxy.core.ejection import Ejecting
from userproxy.model import DEFAULT_OPTIONS, Balance, PortOptions

A, B, C, D = [(f"10.0.0.{n}", 80) for n in range(1, 5)]


def made(records: AffinityRecords | None = None, counters: PortCounters | None = None) -> Balancing:
    return Balancing(key("web"), records or AffinityRecords(), counters or PortCounters(), lambda: 0.0)


@pytest.mark.parametrize(
    ("options", "balancer", "outcomes"),
    [
        (DEFAULT_OPTIONS, RoundRobin, False),
        (PortOptions(balance=Balance.SOURCE_HASH), SourceHash, False),
        (PortOptions(balance=Balance.LEAST_CONNECTIONS), LeastConnections, True),
        (PortOptions(balance=Balance.RANDOM_TWO), RandomTwo, True),
        (PortOptions(affinity_seconds=60), Sticky, False),
        (PortOptions(affinity_seconds=60, balance=Balance.RANDOM_TWO), Sticky, False),
        (PortOptions(eject_failures=2), Ejecting, True),
        (PortOptions(eject_failures=2, affinity_seconds=60), Ejecting, True),
    ],
)
def test_options_mean_a_method_for_both_sets(
    options: PortOptions, balancer: type[object], outcomes: bool
) -> None:
    one = made()
    assert one.update([A, B], [A], options) is True
    assert type(one.cluster) is balancer
    assert type(one.local) is balancer
    assert one.wants_outcomes is outcomes
    assert (one.cluster.pick("10.1.1.1"), one.local.pick("10.1.1.1")) in [(A, A), (B, A)]
    cluster = one.cluster
    assert one.update([C], [], options) is False
    assert one.cluster is cluster
    assert (one.cluster.pick("10.1.1.1"), one.local.pick("10.1.1.1")) == (C, None)


def test_a_ring_begins_where_its_worker_begins_and_keeps_its_turn() -> None:
    one = made()
    one.update([A, B, C, D], [A, B], DEFAULT_OPTIONS, start=0.5)
    assert (one.cluster.pick(), one.local.pick()) == (C, B)
    one.update([A, B, C, D], [A, B], DEFAULT_OPTIONS, start=0.5)
    assert (one.cluster.pick(), one.local.pick()) == (D, A)


def test_both_sets_share_affinity_and_it_ends_with_the_port() -> None:
    records = AffinityRecords()
    one, options = made(records), PortOptions(affinity_seconds=10)
    one.update([A, B, C], [A, B], options)
    had = one.local.pick("10.1.1.1", 0.0)
    assert one.cluster.pick("10.1.1.1", 1.0) == had
    one.update([A, B, C], [A, B], PortOptions(affinity_seconds=5))
    assert records.held == 1
    one.update([A, B, C], [A, B], DEFAULT_OPTIONS)
    assert records.held == 0
    one.update([A, B, C], [A, B], options)
    one.cluster.pick("10.1.1.1", 2.0)
    assert records.held == 1
    one.forget()
    assert records.held == 0


def test_a_shorter_timeout_counts_at_once() -> None:
    records = AffinityRecords()
    one = made(records)
    one.update([A, B], [], PortOptions(affinity_seconds=10))
    first = one.cluster.pick("10.1.1.1", 0.0)
    assert first is not None
    moved = one.cluster.pick_other([first], "10.1.1.1", 0.0)
    assert one.cluster.pick("10.1.1.1", 6.0) == moved
    one.update([A, B], [], PortOptions(affinity_seconds=5))
    assert one.cluster.pick("10.1.1.1", 11.5) == first


def test_counts_are_shared_and_begin_with_the_connections_there_are() -> None:
    one, open_ = made(), [A, A, B]
    one.update([A, B, C], [A, B], DEFAULT_OPTIONS)
    one.opened(C)
    one.closed(C)
    least = PortOptions(balance=Balance.LEAST_CONNECTIONS)
    one.update([A, B, C], [A, B], least, in_use=lambda: open_)
    assert one.local.pick() == B
    one.opened(B)
    one.opened(B)
    assert one.cluster.upcoming() == (C, A, B)
    one.update([A, B, C], [A, B], PortOptions(balance=Balance.RANDOM_TWO), in_use=list)
    assert one.cluster.upcoming() == (C, A, B)
    one.closed(B)
    one.closed(B)
    assert one.cluster.upcoming() == (C, B, A)


def test_both_sets_share_ejection_and_it_ends_when_it_is_switched_off() -> None:
    counters = PortCounters()
    one = made(counters=counters)
    one.failed(A, 0.0)
    one.update([A, B, C], [A, B], PortOptions(eject_failures=3))
    one.failed(A, 0.0)
    one.reached(A)
    one.update([A, B, C], [A, B], PortOptions(eject_failures=1))
    one.failed(A, 0.0)
    assert counters.ejected == 1
    assert {one.local.pick() for _ in range(4)} == {B}
    assert Counter(one.cluster.pick() for _ in range(4)) == {B: 2, C: 2}
    one.update([A, B, C], [A, B], DEFAULT_OPTIONS)
    assert counters.ejected == 0
    one.reached(A)
    assert {one.local.pick() for _ in range(4)} == {A, B}


def test_what_stays_on_is_kept_when_another_option_changes() -> None:
    records, counters = AffinityRecords(), PortCounters()
    one = made(records, counters)
    one.update([A, B], [], PortOptions(affinity_seconds=10, eject_failures=1))
    first = one.cluster.pick("10.1.1.1", 0.0)
    assert first is not None
    one.failed(first, 0.0)
    moved = one.cluster.pick("10.1.1.1", 0.5)
    assert moved != first
    one.update([A, B], [], PortOptions(affinity_seconds=10, eject_failures=1, balance=Balance.SOURCE_HASH))
    assert one.cluster.pick("10.1.1.1", 0.5) == moved
    assert counters.ejected == 1
    one.update([A, B], [], PortOptions(eject_failures=1))
    assert {one.cluster.pick("", 0.5) for _ in range(4)} == {moved}


def test_a_local_set_that_comes_later_gets_a_ring_of_its_own() -> None:
    one, other = made(), made()
    one.update([A, B], [], DEFAULT_OPTIONS)
    other.update([A, B], [], DEFAULT_OPTIONS)
    assert one.local is other.local
    assert one.update([A, B], [], DEFAULT_OPTIONS) is False
    assert one.update([A, B], [A], DEFAULT_OPTIONS) is True
    assert (one.local.pick(), other.local.pick()) == (A, None)
