"""The change between two runs: how the ratios to HAProxy moved.

Owns the comparison of two result files. Ratios are compared, not rates: the machine may have been another one.
"""

from __future__ import annotations

from tests.benchmarks.machine import summary_line
from tests.benchmarks.ratios import Result
from tests.benchmarks.report import Run


def comparison(before: Run, after: Run) -> str:
    """Return a Markdown table of every ratio that is in both runs, except the reference's own."""
    old = {(one.metric, one.target): one for one in before.results}
    lines = [
        f"before: {summary_line(before.machine)}",
        f"after: {summary_line(after.machine)}",
        "",
        f"| workload | | target | before, x {before.reference} | after, x {after.reference} | change | |",
        "|---|---|---|---|---|---|---|",
    ]
    for new in after.results:
        known = old.get((new.metric, new.target))
        if known is None or not known.ratio or new.ratio is None or new.target == after.reference:
            continue
        change = new.ratio / known.ratio - 1
        lines.append(
            f"| {new.metric.workload} | {new.metric.title} | {new.target} | {known.ratio:.3f} | {new.ratio:.3f} "
            f"| {change:+.1%} | {verdict(known, new)} |"
        )
    return "\n".join([*lines, "", "Better and worse are said only where the 95 % intervals do not overlap."])


def verdict(before: Result, after: Result) -> str:
    """Return `better`, `worse`, or nothing where the intervals overlap or there was one round only."""
    if before.low is None or before.high is None or after.low is None or after.high is None:
        return ""
    if min(before.rounds, after.rounds) < 2 or (before.low <= after.high and after.low <= before.high):
        return ""
    return "better" if (after.low > before.high) == after.metric.higher_is_better else "worse"
