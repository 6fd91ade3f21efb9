"""The ring of records: what it keeps, what it counts as overwritten, and the sampling above the rate."""

from __future__ import annotations

import pytest

from tests.build import key
from userproxy.core.flows import RATE, Flow, FlowRing, Outcome


def flow(at: float, weight: int = 1) -> Flow:
    return Flow(
        key("web"), Outcome.CLOSED, ("10.0.0.1", 1), ("10.1.0.1", 80), at, at, at, 0, 0, (), "", weight
    )


def test_the_latest_records_are_kept_and_the_others_counted() -> None:
    ring = FlowRing(3)
    for number in range(5):
        ring.add(flow(number))
    taken, overwritten = ring.take()
    assert [one.at for one in taken] == [2, 3, 4]
    assert overwritten == 2
    assert ring.take() == ([], 0)


def weigh(ring: FlowRing, now: float) -> int:
    """Return how many connections a record at `now` stands for; 0 when there is none."""
    if ring.skip and now < ring.due:
        ring.skip -= 1
        return 0
    return ring.weigh(now)


def test_below_the_rate_each_connection_is_recorded() -> None:
    ring = FlowRing(10)
    assert all(weigh(ring, number / RATE) == 1 for number in range(int(RATE * 3)))


@pytest.mark.parametrize("factor", [2, 7])
def test_above_the_rate_one_in_n_is_recorded_and_stands_for_the_others(factor: int) -> None:
    ring = FlowRing(10)
    count = int(RATE) * factor
    for second in range(1, 4):
        weights = [weigh(ring, second + number / count) for number in range(count)]
    kept = [one for one in weights if one]
    assert set(kept) == {factor}
    assert len(kept) == pytest.approx(RATE, rel=0.02)
    assert sum(kept) == pytest.approx(count, rel=0.02)


def test_after_a_burst_each_connection_is_recorded_again() -> None:
    ring = FlowRing(10)
    weights = [weigh(ring, 1 + number / 20_000) for number in range(20_000)]
    assert max(weights) == 20
    assert [weigh(ring, 30.0 + number) for number in range(20)] == [1] * 20
