"""Results as a Markdown table and as a JSON file that keeps every round.

Owns the two formats. The numbers come from `ratios`, the file can be read back for `compare`.
"""

from __future__ import annotations

import dataclasses
import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tests.benchmarks.machine import summary_line
from tests.benchmarks.metrics import DISTURBED, Metric, Sample
from tests.benchmarks.ratios import Result, faults, results

FORMAT = 1


@dataclass(frozen=True)
class Run:
    """One run of the benchmark: where and how it was made, and all samples. `reference` is what ratios are to."""

    machine: dict[str, Any]
    settings: dict[str, Any]
    targets: tuple[str, ...]
    reference: str
    samples: tuple[Sample, ...]

    @property
    def results(self) -> list[Result]:
        """Medians and ratios."""
        return results(self.samples, self.targets, self.reference)


def to_json(run: Run) -> str:
    """Return the text of the JSON file: everything measured, and the results made of it."""
    return json.dumps(
        {
            "format": FORMAT,
            "machine": run.machine,
            "settings": run.settings,
            "targets": run.targets,
            "reference": run.reference,
            "results": [
                {
                    "workload": one.metric.workload,
                    "metric": one.metric.name,
                    "unit": one.metric.unit,
                    "higher_is_better": one.metric.higher_is_better,
                    "target": one.target,
                    "median": one.value,
                    "ratio": one.ratio,
                    "low": one.low,
                    "high": one.high,
                    "rounds": one.rounds,
                }
                for one in run.results
            ],
            "samples": [dataclasses.asdict(sample) for sample in run.samples],
        },
        indent=1,
    )


def from_json(text: str) -> Run:
    """Return the run in a JSON file. Raises ValueError when it is none of this format."""
    found = json.loads(text)
    if not isinstance(found, dict) or found.get("format") != FORMAT:
        raise ValueError(f"not a result of this benchmark (format {FORMAT} is wanted)")
    samples = tuple(Sample(**sample) for sample in found["samples"])
    targets = tuple(found["targets"])
    return Run(found["machine"], found["settings"], targets, found["reference"], samples)


def read(path: Path) -> Run:
    """Return the run in a file. Raises OSError, ValueError."""
    return from_json(path.read_text())


def markdown(run: Run) -> str:
    """Return what is pictured as a table, what must be said about it, and a second table with the rest."""
    found = run.results
    main = _table([one for one in found if one.metric.pictured], run)
    rest = _table([one for one in found if not one.metric.pictured], run)
    return "\n".join([*main, "", *_remarks(run), "", "More figures of the same rounds:", "", *rest, ""])


def _table(found: list[Result], run: Run) -> list[str]:
    """Return one row for each metric and one column for each target."""
    cells = {(one.metric, one.target): one for one in found}
    lines = [
        f"| workload | | {' | '.join(run.targets)} |",
        f"|---|---|{'---|' * len(run.targets)}",
    ]
    previous = ""
    for metric in dict.fromkeys(one.metric for one in found):
        row = [_cell(cells.get((metric, target)), run.reference) for target in run.targets]
        workload = metric.workload if metric.workload != previous else ""
        previous = metric.workload
        lines.append(f"| {workload} | {_title(metric)} | {' | '.join(row)} |")
    return lines


def _title(metric: Metric) -> str:
    arrow = "↑" if metric.higher_is_better else "↓"
    return f"{metric.title}, {metric.unit} {arrow}"


def _cell(one: Result | None, reference: str) -> str:
    if one is None:
        return "-"
    value = number(one.value)
    if one.ratio is None or one.target == reference:
        return value
    text = f"{value} (**{one.ratio:.2f}x**"
    return f"{text}, {one.low:.2f}-{one.high:.2f})" if one.rounds > 1 else f"{text})"


def number(value: float) -> str:
    """Return a number with three significant digits or more, thousands grouped."""
    size = abs(value)
    if size >= 100:
        return f"{value:,.0f}"
    return f"{value:.1f}" if size >= 10 else f"{value:.2f}" if size >= 1 else f"{value:.3g}"


def _remarks(run: Run) -> list[str]:
    rounds = len({sample.round for sample in run.samples})
    size = (
        f"{run.settings['seconds']} s"
        if "seconds" in run.settings
        else f"{run.settings['questions']:,} questions"
    )
    about = (
        f"{summary_line(run.machine)}. {rounds} rounds of {size}, targets in random order. "
        f"Medians; in brackets the median ratio to {run.reference} within a round and its bootstrap 95 % interval. "
        "↑ more is better, ↓ less is better."
    )
    lines = [about]
    busy = float(run.machine.get("background_cores_busy", 0))
    if busy > 0.1:
        lines.append(f"\nThe machine was not quiet: {busy} cores were busy before the benchmark began.")
    disturbed = sum(sample.values.get("stolen", 0) > DISTURBED for sample in run.samples)
    if disturbed:
        lines.append(f"\nThe hypervisor took away CPU time during {disturbed} of {len(run.samples)} samples.")
    for (workload, target, name), count in faults(run.samples).items():
        what = "failed requests" if name == "errors" else "transfers with wrong bytes"
        lines.append(f"\n**{target}, {workload}: {count} {what}.**")
    return lines
