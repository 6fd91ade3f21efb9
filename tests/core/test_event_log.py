"""The log of events: what it keeps, and readers that go on where they were or learn what they missed."""

from __future__ import annotations

from datetime import UTC, datetime

from userproxy.core.event_log import EventLog
from userproxy.core.events import Event, LostEvent

NOON = datetime(2026, 11, 26, 12, tzinfo=UTC)


def filled(size: int, count: int) -> EventLog:
    log = EventLog(size)
    for number in range(count):
        log.add(LostEvent(time=NOON, count=number))
    return log


def numbers(events: list[Event]) -> list[int]:
    return [event.count for event in events if isinstance(event, LostEvent)]


def test_a_reader_goes_on_where_it_was() -> None:
    log = filled(10, 5)
    events, number, missed = log.read(0, 3)
    assert (numbers(events), number, missed) == ([0, 1, 2], 3, 0)
    events, number, missed = log.read(number, 3)
    assert (numbers(events), number, missed) == ([3, 4], 5, 0)
    assert log.read(number, 3) == ([], 5, 0)


def test_a_slow_reader_learns_how_many_it_missed() -> None:
    log = filled(4, 10)
    assert (len(log), log.first, log.added) == (4, 6, 10)
    events, number, missed = log.read(1, 2)
    assert (numbers(events), number, missed) == ([6, 7], 8, 5)
    assert log.lost == 5


def test_a_log_of_no_size_keeps_nothing() -> None:
    log = filled(0, 3)
    assert (len(log), log.added, log.read(0, 9)) == (0, 0, ([], 0, 0))
