"""Counters of the reconcile loop.

Bucket borders are those of kube-proxy's histogram.
"""

from __future__ import annotations

import pytest

from userproxy.core.sync_counters import SYNC_BUCKETS, SyncCounters


def test_buckets_are_kube_proxys() -> None:
    assert len(SYNC_BUCKETS) == 15
    assert SYNC_BUCKETS[0] == 0.001
    assert SYNC_BUCKETS[-1] == pytest.approx(16.384)


@pytest.mark.parametrize(
    ("seconds", "bucket"),
    [(0.0, 0), (0.001, 0), (0.0011, 1), (0.002, 1), (16.384, 14), (16.4, 15), (1e6, 15)],
)
def test_a_time_falls_into_the_bucket_that_includes_it(seconds: float, bucket: int) -> None:
    counters = SyncCounters()
    counters.observe(seconds)
    assert [n for n, count in enumerate(counters.buckets) if count] == [bucket]
    assert counters.seconds == seconds


def test_times_add_up_and_instances_do_not_share() -> None:
    counters = SyncCounters()
    for seconds in (0.5, 0.25, 0.5):
        counters.observe(seconds)
    assert counters.seconds == 1.25
    assert sum(counters.buckets) == 3
    assert sum(SyncCounters().buckets) == 0
