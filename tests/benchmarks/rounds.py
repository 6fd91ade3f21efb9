"""The benchmark of the data plane: rounds in which every workload meets every target, in random order.

Owns the order of samples, progress on standard error and the files written at the end. Entered inside namespaces of its own.
"""

from __future__ import annotations

import random
import shutil
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path

from tests.benchmarks.isolation import require
from tests.benchmarks.machine import ROOT, description
from tests.benchmarks.metrics import Sample
from tests.benchmarks.picture import svg
from tests.benchmarks.report import Run, markdown, to_json
from tests.benchmarks.target_configs import SINK_ENDPOINTS, STREAM_MODULE, WEB_ENDPOINTS
from tests.benchmarks.targets import (
    DIRECT,
    FLOOR,
    HAPROXY,
    PYTHON_FLOOR,
    USERPROXY,
    Endpoints,
    FloorTarget,
    HaproxyTarget,
    NginxStreamTarget,
    PlaneTarget,
    Target,
)
from tests.benchmarks.workloads import WORKLOADS, Bench, can_run
from tests.benchmarks.wrk import Wrk

PAUSE_SECONDS = 0.2
"""Between two samples, for connections that still close."""


@dataclass(frozen=True)
class Other:
    """A userproxy target: a checkout or an unpacked wheel at `root`, run by `python`."""

    name: str
    root: str = str(ROOT)
    python: str = sys.executable


@dataclass(frozen=True)
class Settings:
    """How to measure. `others` are further userproxy targets."""

    rounds: int
    seconds: float
    workloads: tuple[str, ...]
    workers: str
    others: tuple[Other, ...] = ()


def run(settings: Settings, output: Path) -> None:
    """Measure, print the table, and write dataplane.{json,md,svg} into `output`."""
    require("nginx", "haproxy", "wrk")
    machine = description()
    with stage(settings.workers, settings.others) as (targets, folder):
        bench = Bench(Wrk(folder), settings.seconds, targets=targets)
        samples = tuple(_samples(settings, targets, bench))
        made = Run(machine, asdict(settings), tuple(targets), HAPROXY, samples)
    table = markdown(made)
    print(table)
    output.mkdir(parents=True, exist_ok=True)
    (output / "dataplane.json").write_text(to_json(made))
    (output / "dataplane.md").write_text(table)
    (output / "dataplane.svg").write_text(svg(made))
    print(f"written: {output}/dataplane.json, .md, .svg", file=sys.stderr)


@contextmanager
def stage(workers: str, others: Sequence[Other]) -> Iterator[tuple[dict[str, Target], Path]]:
    """Start endpoints and targets; yields the targets by name and a folder for files. Ends all of them."""
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="userproxy-benchmark-")))
        # The workers of nginx read it as another user.
        folder.chmod(0o755)
        endpoints = Endpoints(folder)
        stack.callback(endpoints.stop)
        endpoints.start()
        targets = _targets(folder, workers, others)
        for target in targets:
            stack.callback(target.stop)
            target.start()
        yield {target.name: target for target in targets}, folder


def _targets(folder: Path, workers: str, others: Sequence[Other]) -> list[Target]:
    targets = [Target(DIRECT, WEB_ENDPOINTS, SINK_ENDPOINTS), HaproxyTarget(folder, 2)]
    if STREAM_MODULE.exists():
        targets.append(NginxStreamTarget(folder, 3))
    else:
        print(
            f"nginx-stream is left out: {STREAM_MODULE} is not installed (libnginx-mod-stream)",
            file=sys.stderr,
        )
    if shutil.which("gcc"):
        targets.append(FloorTarget(FLOOR, folder, 4))
    else:
        print("floor is left out: gcc is not installed (gcc libc6-dev)", file=sys.stderr)
    targets.append(FloorTarget(PYTHON_FLOOR, folder, 5))
    targets.append(PlaneTarget(USERPROXY, 6, ROOT, workers))
    for number, other in enumerate(others, 7):
        targets.append(PlaneTarget(other.name, number, Path(other.root).resolve(), workers, other.python))
    return targets


def _samples(settings: Settings, targets: Mapping[str, Target], bench: Bench) -> Iterator[Sample]:
    rng = random.Random()
    for number in range(settings.rounds):
        bench.turn = number
        for workload in settings.workloads:
            taking_part = [target for target in targets.values() if can_run(workload, target)]
            for target in rng.sample(taking_part, len(taking_part)):
                values = WORKLOADS[workload](target, bench)
                print(
                    f"round {number + 1} {_line(workload, target.name, values)}", file=sys.stderr, flush=True
                )
                yield Sample(number, workload, target.name, values)
                time.sleep(PAUSE_SECONDS)


def _line(workload: str, target: str, values: Mapping[str, float]) -> str:
    shown = " ".join(f"{name}={value:.6g}" for name, value in values.items())
    return f"{workload:10s} {target:14s} {shown}"
