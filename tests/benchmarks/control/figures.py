"""The figures of the control side: one column for each number of Services, and what a thousand more Services cost.

Owns the table and the JSON file. Measures nothing.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any

from tests.benchmarks.open_loop import quantile
from tests.benchmarks.report import number

Figures = dict[str, float]

ROWS: tuple[tuple[str, str, float], ...] = (
    ("list_bytes", "objects at the API server, MB", 1e-6),
    ("ready_seconds", "start to ready, s", 1.0),
    ("ready_least", "the same, fastest start, s", 1.0),
    ("ready_most", "the same, slowest start, s", 1.0),
    ("ready_cpu", "the same, CPU of the control process, s", 1.0),
    ("change_p50", "changed endpoints: event to first connection, p50, ms", 1e3),
    ("change_p99", "the same, p99, ms", 1e3),
    ("change_cpu", "the same, CPU of the control process, ms each", 1e3),
    ("create_p50", "new Service: event to first connection, p50, ms", 1e3),
    ("create_p99", "the same, p99, ms", 1e3),
    ("flood_rate", "flood: changes written, /s", 1.0),
    ("flood_p50", "flood: event to first connection, p50, ms", 1e3),
    ("flood_p99", "the same, p99, ms", 1e3),
    ("flood_growth", "flood: median of its last third less that of its first, ms", 1e3),
    ("flood_cpu", "flood: CPU of the control process, ms a change", 1e3),
    ("control_rss", "control process, MB (Rss)", 1e-6),
    ("control_peak", "the same, highest, MB", 1e-6),
    ("worker_rss", "largest worker, MB (Rss)", 1e-6),
    ("quiet_relay_max_us", "longest wait of a request at 1 kHz, quiet, ms", 1e-3),
    ("quiet_direct_max_us", "the same straight to the endpoint, ms", 1e-3),
    ("relist_relay_max_us", "longest wait while the whole list is read again, ms", 1e-3),
    ("relist_direct_max_us", "the same straight to the endpoint, ms", 1e-3),
    ("relist_relay_p99_us", "p99 while the whole list is read again, ms", 1e-3),
    ("relist_cpu", "reading the whole list again: CPU of the control process, s", 1.0),
)


def latencies(name: str, seconds: Sequence[float]) -> Figures:
    """Return p50, p99 and the highest of some latencies."""
    ordered = sorted(round(one * 1e9) for one in seconds)
    return {
        f"{name}_{key}": quantile(ordered, share) / 1e9
        for key, share in (("p50", 0.5), ("p99", 0.99), ("max", 1.0))
    }


def growth(seconds: Sequence[float]) -> float:
    """Return by how much the median of the last third exceeds that of the first: a lag that grows shows here."""
    third = max(1, len(seconds) // 3)
    first, last = sorted(seconds[:third]), sorted(seconds[-third:])
    return last[len(last) // 2] - first[len(first) // 2]


def slope(points: Mapping[int, float]) -> float | None:
    """Return the least-squares rise for 1,000 Services more; None with fewer than two sizes."""
    if len(points) < 2:
        return None
    middle_x, middle_y = sum(points) / len(points), sum(points.values()) / len(points)
    spread = sum((x - middle_x) ** 2 for x in points)
    return 1000 * sum((x - middle_x) * (y - middle_y) for x, y in points.items()) / spread


def table(found: Mapping[int, Figures]) -> str:
    """Return the figures in Markdown."""
    lines = [
        f"| Services | {' | '.join(f'{size:,}' for size in found)} | 1,000 more |",
        f"|---|{'---:|' * (len(found) + 1)}",
    ]
    for name, title, factor in ROWS:
        points = {size: one[name] * factor for size, one in found.items() if name in one}
        if points:
            cells = [number(points[size]) if size in points else "-" for size in found]
            rise = slope(points)
            lines.append(f"| {title} | {' | '.join(cells)} | {'-' if rise is None else f'{rise:+.3g}'} |")
    return "\n".join(lines)


def to_json(machine: Mapping[str, Any], settings: Mapping[str, Any], found: Mapping[int, Figures]) -> str:
    """Return the text of the JSON file."""
    return json.dumps({"machine": machine, "settings": settings, "sizes": found}, indent=1)
