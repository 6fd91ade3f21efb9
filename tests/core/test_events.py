"""Events: made of records, written as JSON that reads back, and as one line for people."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from tests.build import key
from userproxy.core.events import (
    ChangeEvent,
    ConnectionEvent,
    Event,
    LostEvent,
    change_event,
    connection_event,
    decode_event,
    encode_event,
    event_line,
    seconds_text,
    service_text,
    size_text,
)
from userproxy.core.flows import Flow, Outcome
from userproxy.model import Family

NOON = datetime(2026, 11, 26, 12, 0, 0, 5000, UTC)


def at(moment: float) -> datetime:
    return NOON + timedelta(seconds=moment)


def flow(**chosen: object) -> Flow:
    values: dict[str, object] = {
        "key": key("web", "http"),
        "outcome": Outcome.CLOSED,
        "client": ("10.0.0.9", 4321),
        "endpoint": ("10.1.0.1", 8080),
        "opened": 1.0,
        "at": 1.25,
        "dialled": 1.1,
        "received": 78,
        "sent": 12_345,
        "failed": (),
        "reason": "",
        "weight": 1,
    }
    return Flow(**{**values, **chosen})


def line(**chosen: object) -> str:
    return event_line(connection_event(flow(**chosen), at))


def test_a_record_becomes_an_event() -> None:
    event = connection_event(flow(key=key("web", "http", Family.IPV6), client=("fd00::9", 4321)), at)
    assert event == ConnectionEvent(
        time=at(1.25),
        verdict="closed",
        client="[fd00::9]:4321",
        namespace="default",
        service="web",
        port="http",
        ip_family="IPv6",
        endpoint="10.1.0.1:8080",
        opened=at(1.0),
        seconds=0.25,
        received=78,
        sent=12_345,
    )


def test_time_lost_to_endpoints_counts_only_where_one_failed() -> None:
    assert connection_event(flow(), at).waited == 0
    assert connection_event(flow(failed=(("10.1.0.2", 80),)), at).waited == pytest.approx(0.1)


@pytest.mark.parametrize(
    "event",
    [
        connection_event(flow(failed=(("10.1.0.2", 80),), reason="connection refused", weight=7), at),
        connection_event(flow(endpoint=None, outcome=Outcome.REFUSED), at),
        change_event("verdict", "no usable endpoint", at(0), key("web"), verdict="drop"),
        change_event("capture", "restored", at(0)),
        LostEvent(time=at(0), count=3),
    ],
)
def test_json_reads_back(event: Event) -> None:
    assert decode_event(encode_event(event)) == event
    assert encode_event(event).count(b"\n") == 0


def test_lines_for_people() -> None:
    assert (
        line()
        == "12:00:01.255 CLOSED   10.0.0.9:4321 -> default/web:http -> 10.1.0.1:8080  250ms  78B in 12KB out"
    )
    failed = (("10.1.0.2", 80), ("10.1.0.3", 80))
    assert line(failed=failed, reason="connection refused", weight=5).endswith(
        "  (retried after 10.1.0.2:80, 10.1.0.3:80 in 100ms; connection refused; 1 of 5)"
    )
    assert line(outcome=Outcome.REFUSED, failed=failed[:1], dialled=1.0, reason="unreachable") == (
        "12:00:01.255 REFUSED  10.0.0.9:4321 -> default/web:http  250ms  (tried 10.1.0.2:80; unreachable)"
    )
    assert line(outcome=Outcome.RESET, endpoint=None, reason="gone").endswith(
        "-> default/web:http  250ms  (gone)"
    )


def test_changes_and_losses_for_people() -> None:
    change = change_event("verdict", "no usable endpoint", at(0), key("dns", "dns"), verdict="drop")
    assert event_line(change) == "12:00:00.005 DROP     default/dns:dns  no usable endpoint"
    assert event_line(change_event("capture", "restored", at(0))) == "12:00:00.005 CHANGE   restored"
    assert "3 events" in event_line(LostEvent(time=at(0), count=3))


def test_names_of_an_api_server_cannot_drive_the_terminal() -> None:
    event = ChangeEvent(time=at(0), kind="x", message="\x1b[2Jboo\n", service="web", namespace="n")
    assert event_line(event).isprintable()
    assert "boo" in event_line(event)


def test_service_ports() -> None:
    event = ChangeEvent(time=at(0), kind="x", message="", namespace="n", service="dns", protocol="UDP")
    assert service_text(event) == "n/dns/udp"


@pytest.mark.parametrize(
    ("count", "text"),
    [
        (0, "0B"),
        (999, "999B"),
        (1000, "1.0KB"),
        (12_345, "12KB"),
        (9_949_000, "9.9MB"),
        (5e9, "5.0GB"),
        (7e12, "7.0TB"),
    ],
)
def test_sizes(count: float, text: str) -> None:
    assert size_text(count) == text


@pytest.mark.parametrize(
    ("seconds", "text"),
    [(0, "0.0ms"), (0.0042, "4.2ms"), (0.0421, "42ms"), (3.14, "3.1s"), (600, "10m"), (7500, "2h05m")],
)
def test_durations(seconds: float, text: str) -> None:
    assert seconds_text(seconds) == text
