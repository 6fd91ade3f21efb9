"""The status of an agent on one screen.

Owns the lines of `userproxy status`. The values are `core.status`'s.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator

from userproxy.core.listing import duration
from userproxy.core.policy import Verdict
from userproxy.core.status import StatusView, WatchView

_MOST_WARNINGS = 10
_COLOURS = {True: "32", False: "31"}


def is_well(status: StatusView) -> bool:
    """Whether the agent is ready and applies changes in time: what `status` exits with."""
    return status.ready and status.healthy


def status_lines(status: StatusView, *, colour: bool) -> Iterator[str]:
    """Yield the lines for a person."""
    up = duration((status.now - status.started).total_seconds())
    state = "ready" if status.ready else f"not ready: {'; '.join(status.waiting_for)}"
    state += "" if status.healthy else "; changes wait for too long"
    state += "" if status.node_eligible else "; the Node is leaving"
    yield _line("Agent", f"userproxy {status.versions.get('userproxy', '?')}, up {up}")
    yield _line("State", f"\x1b[{_COLOURS[is_well(status)]}m{state}\x1b[0m" if colour else state)
    capture = status.capture
    repairs = f", rules restored {capture.repairs} times" if capture.repairs else ""
    yield _line(
        "Capture", (f"{capture.name} ({capture.detail})" if capture.detail else capture.name) + repairs
    )
    for probe in capture.probes:
        if not probe.usable:
            yield _line("", f"not {probe.capture}: {probe.reason}")
    for number, watch in enumerate(status.watches):
        yield _line("" if number else "Watches", _watch(watch))
    yield _line("Services", _services(status))
    totals = status.connections
    counts = (
        f"{totals.active} open, {totals.accepted} accepted, {totals.carried} carried, {totals.failed} failed"
    )
    yield _line("Connections", counts)
    workers = status.workers
    text = (
        f"{workers.running} running" if workers.running else "none: connections live in the control process"
    )
    yield _line("Workers", text + (f", {workers.replaced} replaced" if workers.replaced else ""))
    warnings = [*status.warnings, *_warnings(status)]
    for number, warning in enumerate(warnings[:_MOST_WARNINGS]):
        yield _line("" if number else "Warnings", warning)
    if len(warnings) > _MOST_WARNINGS:
        yield _line("", f"and {len(warnings) - _MOST_WARNINGS} more (-o json has all)")


def _line(heading: str, text: str) -> str:
    return f"{heading:<12} {text}"


def _watch(watch: WatchView) -> str:
    age = (
        "no event yet" if watch.last_event_age is None else f"last event {duration(watch.last_event_age)} ago"
    )
    state = "" if watch.connected else f", disconnected ({watch.last_error or 'connecting'})"
    return f"{watch.resource}: {watch.objects}, {age}{state}"


def _services(status: StatusView) -> str:
    words = {Verdict.CARRY: "carried", Verdict.DROP: "dropped", Verdict.REJECT: "refused", None: "waiting"}
    verdicts = Counter(words[port.verdict] for service in status.services for port in service.ports)
    told = ", ".join(f"{count} {word}" for word, count in sorted(verdicts.items()))
    return f"{len(status.services)} with {sum(verdicts.values())} ports" + (f": {told}" if told else "")


def _warnings(status: StatusView) -> Iterator[str]:
    for service in status.services:
        yield from service.warnings
        for port in service.ports:
            name = f"{service.namespace}/{service.name}" + (f":{port.port}" if port.port else "")
            yield from (f"{name}: {warning}" for warning in port.warnings)
