"""Medians, ratios within a round, and their intervals."""

from __future__ import annotations

import pytest

from tests.benchmarks.metrics import Sample
from tests.benchmarks.ratios import faults, interval, results
from tests.benchmarks_test.runs import samples

TARGETS = ("haproxy", "userproxy")


def test_a_ratio_compares_the_same_round_only() -> None:
    # The machine halves its speed each round; within each round userproxy is 1.1 times as fast.
    found = results(
        samples("close", "rate", haproxy=[1000, 500, 250], userproxy=[1100, 550, 275]), TARGETS, "haproxy"
    )
    mine = next(one for one in found if one.target == "userproxy")
    assert mine.value == 550
    assert (mine.ratio, mine.low, mine.high) == pytest.approx((1.1, 1.1, 1.1))


def test_a_round_without_the_reference_counts_for_the_median_but_not_for_the_ratio() -> None:
    measured = samples("close", "rate", haproxy=[100], userproxy=[200, 400, 600])
    mine = next(one for one in results(measured, TARGETS, "haproxy") if one.target == "userproxy")
    assert (mine.value, mine.ratio, mine.rounds) == (400, 2.0, 3)


def test_without_the_reference_there_is_no_ratio() -> None:
    (mine,) = results(samples("close", "rate", userproxy=[5, 7]), TARGETS, "haproxy")
    assert (mine.value, mine.ratio, mine.low, mine.high) == (6, None, None, None)


def test_values_are_shown_in_the_unit_of_the_metric() -> None:
    (mine,) = results(samples("close", "cpu", haproxy=[0.00025]), TARGETS, "haproxy")
    assert mine.metric.unit == "µs each"
    assert mine.value == pytest.approx(250)


def test_what_is_not_a_number_is_left_out() -> None:
    measured = samples("latency", "p99_us", haproxy=[float("nan"), 30.0])
    assert [(one.value, one.rounds) for one in results(measured, TARGETS, "haproxy")] == [(30.0, 1)]


def test_the_interval_holds_the_median_and_narrows_with_agreement() -> None:
    wide = interval([0.5, 0.8, 1.0, 1.2, 1.5])
    narrow = interval([0.98, 0.99, 1.0, 1.01, 1.02])
    assert wide[0] <= 1.0 <= wide[1]
    assert wide[1] - wide[0] > narrow[1] - narrow[0]
    assert interval([0.7]) == (0.7, 0.7)


def test_the_interval_of_the_same_values_is_always_the_same() -> None:
    assert interval([1.0, 2.0, 4.0, 3.0]) == interval([1.0, 2.0, 4.0, 3.0])


def test_faults_are_summed_and_zeros_left_out() -> None:
    measured = [
        Sample(0, "close", "userproxy", {"errors": 2}),
        Sample(1, "close", "userproxy", {"errors": 3}),
        Sample(0, "close", "haproxy", {"errors": 0}),
        Sample(0, "bulk-up", "userproxy", {"wrong": 1}),
    ]
    assert faults(measured) == {
        ("close", "userproxy", "errors"): 5,
        ("bulk-up", "userproxy", "wrong"): 1,
    }
