"""Filters of events: each alone, together, and what a person may write wrong."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from userproxy.core.event_filter import make_filter, verdicts_of
from userproxy.core.events import ChangeEvent, ConnectionEvent, LostEvent
from userproxy.errors import UsageError

NOON = datetime(2026, 11, 26, 12, tzinfo=UTC)


def connection(**chosen: Any) -> ConnectionEvent:
    values: dict[str, Any] = {
        "time": NOON,
        "opened": NOON,
        "seconds": 0.1,
        "verdict": "closed",
        "client": "10.0.0.9:4321",
        "namespace": "default",
        "service": "web",
        "port": "http",
        "endpoint": "10.1.0.1:8080",
    }
    return ConnectionEvent(**{**values, **chosen})


def change(**chosen: Any) -> ChangeEvent:
    return ChangeEvent(**{"time": NOON, "kind": "verdict", "message": "", **chosen})


@pytest.mark.parametrize(
    ("chosen", "matches"),
    [
        ({}, True),
        ({"namespace": "default"}, True),
        ({"namespace": "other"}, False),
        ({"services": ["web"]}, True),
        ({"services": ["x", "default/web"]}, True),
        ({"services": ["web:http"]}, True),
        ({"services": ["default/web:http"]}, True),
        ({"services": ["web:https"]}, False),
        ({"services": ["other/web"]}, False),
        ({"endpoints": ["10.1.0.1"]}, True),
        ({"endpoints": ["10.1.0.1:8080"]}, True),
        ({"endpoints": ["10.1.0.1:80"]}, False),
        ({"endpoints": ["10.1.0.0/24"]}, True),
        ({"endpoints": ["10.2.0.1"]}, False),
        ({"clients": ["10.0.0.9", "1.1.1.1"]}, True),
        ({"clients": ["10.1.0.1"]}, False),
        ({"clients": ["fd00::/8"]}, False),
        ({"verdicts": ["CLOSED"]}, True),
        ({"verdicts": ["carried"]}, True),
        ({"verdicts": ["retried", "refused"]}, False),
        ({"since": NOON}, True),
        ({"since": NOON + timedelta(seconds=1)}, False),
        ({"services": ["web"], "clients": ["10.0.0.1"]}, False),
    ],
)
def test_one_connection(chosen: dict[str, Any], matches: bool) -> None:
    assert make_filter(**chosen).matches(connection()) is matches


def test_an_endpoint_is_found_where_it_failed_and_where_it_changed() -> None:
    wanted = make_filter(endpoints=["[fd00::1]:80"])
    assert wanted.matches(connection(failed=("[fd00::1]:80",)))
    assert wanted.matches(change(endpoint="[fd00::1]:80"))
    assert not wanted.matches(change())


def test_changes_have_no_client() -> None:
    assert not make_filter(clients=["0.0.0.0/0"]).matches(change(endpoint="10.1.0.1:80"))


def test_words_of_a_verdict() -> None:
    assert verdicts_of(connection(failed=("10.1.0.1:1",))) == {"closed", "carried", "retried"}
    assert verdicts_of(connection(verdict="refused")) == {"refused"}
    assert verdicts_of(change(verdict="drop")) == {"change", "drop"}


def test_that_events_were_lost_is_always_told() -> None:
    assert make_filter(namespace="x").matches(LostEvent(time=NOON, count=1))


@pytest.mark.parametrize(
    "text", ["", "x", "1.2.3", "1.2.3.4:x", "1.2.3.4:99999", "[fd00::1", "1.2.3.4/33", "::1:80:x"]
)
def test_what_is_no_address(text: str) -> None:
    with pytest.raises(UsageError, match=r"endpoint: .* is no address; write"):
        make_filter(endpoints=[text])


def test_what_is_no_verdict() -> None:
    with pytest.raises(UsageError, match="'forwarded' is none; there are carried, "):
        make_filter(verdicts=["forwarded"])
