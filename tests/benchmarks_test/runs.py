"""Samples of made-up runs, so that results are known beforehand."""

from __future__ import annotations

from collections.abc import Sequence

from tests.benchmarks.metrics import METRICS, Metric, Sample
from tests.benchmarks.report import Run

MACHINE = {
    "date": "2026-01-01 00:00 UTC",
    "commit": "0123456789ab",
    "cpu": "A & B <C>",
    "cores": 2,
    "kernel": "6.18",
    "python": "3.11.7",
    "haproxy": "2.6",
    "nginx": "1.22",
    "background_cores_busy": 0.0,
}


def samples(workload: str, name: str, **targets: Sequence[float]) -> list[Sample]:
    """One metric of some targets, a value for each round; `_` in a target's name stands for `-`."""
    return [
        Sample(number, workload, target.replace("_", "-"), {name: value})
        for target, values in targets.items()
        for number, value in enumerate(values)
    ]


def run(*parts: Sequence[Sample], **machine: object) -> Run:
    """A run of the given samples."""
    flat = tuple(sample for part in parts for sample in part)
    targets = tuple(dict.fromkeys(sample.target for sample in flat))
    return Run({**MACHINE, **machine}, {"seconds": 4.0}, targets, "haproxy", flat)


def metric(workload: str, name: str) -> Metric:
    """A metric by name."""
    return next(one for one in METRICS if (one.workload, one.name) == (workload, name))
