"""Counters of workers add up."""

from __future__ import annotations

from userproxy.core.counters import DIAL_BUCKETS, PortCounters


def test_addition() -> None:
    one, two = (
        PortCounters(accepted=3, dial_seconds=0.5),
        PortCounters(accepted=4, dial_seconds=0.25, active=1),
    )
    one.dial_buckets[0] = 2
    two.dial_buckets[0] = 5
    one.add(two)
    assert (one.accepted, one.active, one.dial_seconds) == (7, 1, 0.75)
    assert one.dial_buckets == [7, *[0] * len(DIAL_BUCKETS)]


def test_buckets_are_not_shared() -> None:
    PortCounters().dial_buckets[0] = 9
    assert PortCounters().dial_buckets[0] == 0
