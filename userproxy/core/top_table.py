"""`userproxy top` as text: a snapshot laid out in lines for a terminal of a given size.

Owns columns, widths and what is left out where there is no room. Nothing that an API server named gets through unprintable.
"""

from __future__ import annotations

from datetime import datetime

from userproxy.core.events import seconds_text, size_text
from userproxy.core.live import LiveSnapshot, PortRow

COLUMNS = ("ENDPOINTS", "OPEN", "NEW/S", "IN/S", "OUT/S", "FAIL/S", "P50", "P99")
_WIDTHS = (9, 6, 6, 6, 6, 6, 6, 6)
_ADDRESS = 21
_BOLD, _RED, _YELLOW, _FAINT, _INVERSE, _PLAIN = "1", "31", "33", "2", "7", "0"


def top_lines(
    snapshot: LiveSnapshot, *, width: int, height: int | None, colour: bool, note: str = ""
) -> list[str]:
    """Return the lines of `snapshot`, none longer than `width`, at most `height`; `note` is the last one if there is one."""
    lines = [_styled(line[:width], style, colour) for line, style in _head(snapshot)]
    names = max(12, min(44, width - _ADDRESS - sum(_WIDTHS) - len(_WIDTHS) - 2))
    # Inverse to the edge of the screen, as in top(1).
    heading = _line("SERVICE PORT", "ADDRESS", COLUMNS, names)[:width]
    lines.append(_styled(heading.ljust(width) if colour else heading.rstrip(), _INVERSE, colour))
    room = None if height is None else max(0, height - len(lines) - bool(note))
    rows = snapshot.rows[:room]
    lines += [_styled(_row(row, names)[:width].rstrip(), _row_style(row), colour) for row in rows]
    if not rows:
        lines.append("no Service matches" if snapshot.services else "no Services yet")
    if note:
        lines.append(_styled(note[:width], _FAINT, colour))
    return lines


def _head(snapshot: LiveSnapshot) -> list[tuple[str, str]]:
    capture, workers, rates = snapshot.capture, snapshot.workers, snapshot.rates
    state = "ready" if snapshot.ready else "NOT READY: " + "; ".join(snapshot.waiting_for)
    if snapshot.ready and not snapshot.healthy:
        state = "UNHEALTHY: changes are not applied in time"
    name = f"{capture.name} ({capture.detail})" if capture.detail else capture.name
    first = (
        f"userproxy {snapshot.version}  {state}  capture {name}  "
        f"{f'{workers.running} workers' if workers.running else 'one process'}  up {_age(snapshot.started, snapshot.time)}"
    )
    shown = (
        f"{snapshot.services}"
        if snapshot.found == snapshot.services
        else f"{snapshot.found} of {snapshot.services}"
    )
    pages = f", page {snapshot.page + 1} of {snapshot.pages}" if snapshot.pages > 1 else ""
    second = (
        f"open {rates.open}  new {_rate(rates.new)}/s  in {size_text(rates.received)}/s  out {size_text(rates.sent)}/s  "
        f"failures {_rate(rates.failed + rates.retried)}/s  dial p50 {_time(snapshot.p50)} p99 {_time(snapshot.p99)}"
    )
    third = f"Services {shown}{pages}; Service ports without endpoints: {snapshot.without_endpoints}"
    lines = [
        (first, _BOLD if snapshot.ready and snapshot.healthy else _RED),
        (second, _PLAIN),
        (third, _PLAIN),
    ]
    return [
        (_printable(line), style) for line, style in lines + [(text, _YELLOW) for text in snapshot.warnings]
    ]


def _row(row: PortRow, names: int) -> str:
    rates = row.rates
    known = row.in_use + row.ready + row.terminating + row.unready
    cells = (
        f"{row.in_use}/{known}",
        str(rates.open),
        _rate(rates.new),
        size_text(rates.received),
        size_text(rates.sent),
        _rate(rates.failed + rates.retried),
        _time(row.p50),
        _time(row.p99),
    )
    protocol = "" if row.protocol == "TCP" else f"/{row.protocol.lower()}"
    port = f":{row.port}" if row.port else ""
    return _printable(_line(f"{row.namespace}/{row.service}{port}{protocol}", row.address, cells, names))


def _row_style(row: PortRow) -> str:
    if row.verdict in ("drop", "reject") or row.rates.failed:
        return _RED
    if row.rates.retried or row.warnings:
        return _YELLOW
    return _PLAIN


def _line(name: str, address: str, cells: tuple[str, ...], names: int) -> str:
    numbers = " ".join(f"{cell:>{width}}" for cell, width in zip(cells, _WIDTHS, strict=True))
    return f"{_cut(name, names):<{names}} {_cut(address, _ADDRESS):<{_ADDRESS}} {numbers}"


def _cut(text: str, width: int) -> str:
    return text if len(text) <= width else text[: width - 1] + "…"


def _rate(value: float) -> str:
    return f"{value:.1f}" if 0 < value < 9.95 else f"{value:.0f}"


def _time(value: float | None) -> str:
    return "-" if value is None else seconds_text(value)


def _age(start: datetime, now: datetime) -> str:
    return seconds_text(max(0.0, (now - start).total_seconds()))


def _printable(text: str) -> str:
    return "".join(one if one.isprintable() else "\N{REPLACEMENT CHARACTER}" for one in text)


def _styled(line: str, style: str, colour: bool) -> str:
    return f"\x1b[{style}m{line}\x1b[0m" if colour and style != _PLAIN else line
