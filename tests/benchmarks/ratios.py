"""From samples to results: medians over rounds, and ratios to HAProxy within each round with their uncertainty.

Owns the statistics. A ratio compares two samples of the same round only, so that what slows the whole machine for a while
slows both. Pure functions.
"""

from __future__ import annotations

import math
import random
import statistics
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from tests.benchmarks.metrics import FAULTS, METRICS, Metric, Sample

RESAMPLES = 2000
CONFIDENCE = 0.95


@dataclass(frozen=True)
class Result:
    """One metric of one target: the median as shown, and the median ratio to the reference with its interval (or None)."""

    metric: Metric
    target: str
    value: float
    ratio: float | None
    low: float | None
    high: float | None
    rounds: int


def results(samples: Sequence[Sample], targets: Sequence[str], reference: str) -> list[Result]:
    """Return every metric that was measured, in the order of METRICS and of `targets`; ratios are to `reference`."""
    found = []
    for metric in METRICS:
        for target in targets:
            values = _by_round(samples, metric, target)
            if values:
                found.append(_result(metric, target, values, _by_round(samples, metric, reference)))
    return found


def _result(metric: Metric, target: str, values: dict[int, float], references: dict[int, float]) -> Result:
    value = statistics.median(values.values()) * metric.factor
    ratios = [values[number] / references[number] for number in values if references.get(number)]
    if not ratios:
        return Result(metric, target, value, None, None, None, len(values))
    low, high = interval(ratios)
    return Result(metric, target, value, statistics.median(ratios), low, high, len(values))


def interval(values: Sequence[float]) -> tuple[float, float]:
    """Return the bootstrap interval (percentile method, CONFIDENCE) of the median of `values`."""
    if len(values) == 1:
        return values[0], values[0]
    # Always the same resamples, so that the same samples give the same report.
    rng = random.Random(1)
    medians = sorted(statistics.median(rng.choices(values, k=len(values))) for _ in range(RESAMPLES))
    outside = round((1 - CONFIDENCE) / 2 * RESAMPLES)
    return medians[outside], medians[-1 - outside]


def faults(samples: Iterable[Sample]) -> dict[tuple[str, str, str], int]:
    """Return the sums of FAULTS that are not zero, by workload, target and name."""
    sums: dict[tuple[str, str, str], int] = {}
    for sample in samples:
        for name in FAULTS:
            count = int(sample.values.get(name, 0))
            if count:
                key = sample.workload, sample.target, name
                sums[key] = sums.get(key, 0) + count
    return sums


def _by_round(samples: Sequence[Sample], metric: Metric, target: str) -> dict[int, float]:
    return {
        sample.round: sample.values[metric.name]
        for sample in samples
        if sample.workload == metric.workload
        and sample.target == target
        and math.isfinite(sample.values.get(metric.name, math.nan))
    }
