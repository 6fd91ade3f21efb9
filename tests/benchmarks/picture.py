"""Results as a picture: horizontal bars of the ratios to HAProxy, one group for each metric, in SVG.

Owns the drawing. Plain text of SVG, so that no drawing library is needed.
"""

from __future__ import annotations

from collections.abc import Sequence
from xml.sax.saxutils import escape

from tests.benchmarks.machine import summary_line
from tests.benchmarks.metrics import Metric
from tests.benchmarks.ratios import Result
from tests.benchmarks.report import Run, number

WIDTH, LEFT, RIGHT = 1000, 300, 170
TOP, BOTTOM = 88, 46
BAR, GAP, GROUP_GAP = 13, 3, 14
LARGEST_RATIO = 3.25
"""Longer bars are cut off there; their numbers are written anyway."""
COLORS = {"direct": "#9aa5b1", "haproxy": "#5b7db1", "nginx-stream": "#6aa583", "userproxy": "#d9822b"}
MORE_COLORS = ("#a568b8", "#c25555", "#4d9aa8")
INK, GREY, PALE = "#1f2933", "#616e7c", "#d5dae0"


def svg(run: Run) -> str:
    """Return the picture of a run."""
    found = [one for one in run.results if one.metric.pictured and one.ratio is not None]
    targets = [target for target in run.targets if any(one.target == target for one in found)]
    colors = _colors(targets)
    bars: list[str] = []
    y = TOP
    for metric in dict.fromkeys(one.metric for one in found):
        group = [one for one in found if one.metric == metric]
        bars += _group(metric, group, colors, y)
        y += len(group) * (BAR + GAP) + GROUP_GAP
    height = y + BOTTOM
    size = f'viewBox="0 0 {WIDTH} {height}" width="{WIDTH}" height="{height}"'
    font = 'font-family="system-ui, sans-serif" font-size="12"'
    return "\n".join(
        [
            f'<svg xmlns="http://www.w3.org/2000/svg" {size} {font}>',
            _rectangle(0, 0, WIDTH, height, "#ffffff"),
            *_head(run, targets, colors),
            *_grid(y),
            *bars,
            _text(20, height - 16, summary_line(run.machine), fill=GREY, size=11),
            "</svg>\n",
        ]
    )


def _colors(targets: Sequence[str]) -> dict[str, str]:
    others = [target for target in targets if target not in COLORS]
    return {**COLORS, **{target: MORE_COLORS[i % len(MORE_COLORS)] for i, target in enumerate(others)}}


def _head(run: Run, targets: Sequence[str], colors: dict[str, str]) -> list[str]:
    rounds = len({sample.round for sample in run.samples})
    title = f"Ratio to {run.reference} (= 1), medians of {rounds} interleaved rounds"
    parts = [_text(20, 30, title, size=18)]
    x = 20
    for target in targets:
        parts += [_rectangle(x, 44, 12, 12, colors[target]), _text(x + 18, 54, target)]
        x += 40 + 8 * len(target)
    legend = "▲ longer is better, ▼ shorter is better; thin lines are 95 % intervals"
    return [*parts, _text(x + 10, 54, legend, fill=GREY)]


def _grid(bottom: float) -> list[str]:
    parts = []
    for tenths in range(0, int(LARGEST_RATIO * 10) + 1, 5):
        x, color = _x(tenths / 10), INK if tenths == 10 else PALE
        parts += [
            _line(x, TOP - 8, x, bottom, color),
            _text(x, TOP - 13, f"{tenths / 10:.1f}", size=11, anchor="middle"),
        ]
    return parts


def _group(metric: Metric, group: Sequence[Result], colors: dict[str, str], top: float) -> list[str]:
    label = f"{metric.title} ({metric.workload})" if metric.name == "cpu" else metric.title
    middle = top + len(group) * (BAR + GAP) / 2
    arrow = "▲" if metric.higher_is_better else "▼"
    parts = [_text(LEFT - 12, middle + 2, f"{label} {arrow}", anchor="end")]
    for index, one in enumerate(group):
        parts += _bar(one, colors[one.target], top + index * (BAR + GAP))
    return parts


def _bar(one: Result, color: str, top: float) -> list[str]:
    ratio = one.ratio or 0.0
    low, high = one.low or ratio, one.high or ratio
    parts = [_rectangle(LEFT, top, _x(ratio) - LEFT, BAR, color)]
    if low != high:
        parts.append(_line(_x(low), top + BAR / 2, _x(high), top + BAR / 2, INK))
    beyond = " →" if ratio > LARGEST_RATIO else ""
    label = f"{ratio:.2f}x{beyond} ({number(one.value)} {one.metric.unit})"
    return [*parts, _text(_x(max(ratio, high)) + 6, top + BAR - 2.5, label, size=11, halo=True)]


def _x(ratio: float) -> float:
    """Return where a ratio lies; negative ones (memory that shrank) at zero."""
    share = min(max(ratio, 0.0), LARGEST_RATIO) / LARGEST_RATIO
    return LEFT + share * (WIDTH - LEFT - RIGHT)


def _rectangle(x: float, y: float, width: float, height: float, color: str) -> str:
    return f'<rect x="{x:.1f}" y="{y:.1f}" width="{width:.1f}" height="{height:.1f}" fill="{color}"/>'


def _line(x1: float, y1: float, x2: float, y2: float, color: str) -> str:
    ends = f'x1="{x1:.1f}" y1="{y1:.1f}" x2="{x2:.1f}" y2="{y2:.1f}"'
    return f'<line {ends} stroke="{color}" stroke-width="1.5"/>'


def _text(
    x: float,
    y: float,
    text: str,
    *,
    fill: str = INK,
    size: int = 12,
    anchor: str = "start",
    halo: bool = False,
) -> str:
    """Return a text; with a halo it can be read on top of lines."""
    white = ' stroke="#ffffff" stroke-width="3" paint-order="stroke"' if halo else ""
    style = f'font-size="{size}" fill="{fill}" text-anchor="{anchor}"{white}'
    return f'<text x="{x:.1f}" y="{y:.1f}" {style}>{escape(text)}</text>'
