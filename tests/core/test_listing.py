"""Tables of `get`, the screen of `status`, and open connections as they are shown."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import msgspec
import pytest

from tests.build import key
from userproxy.core import listing
from userproxy.core.connection_view import ConnectionView, connections_view
from userproxy.core.counters import PortCounters
from userproxy.core.inspection import Inspection, OpenConnection
from userproxy.core.listing import amount, condition, duration, of_services, selected, table
from userproxy.core.policy import Verdict
from userproxy.core.status import (
    CaptureView,
    ConnectionTotals,
    EndpointView,
    FrontendView,
    ListenerView,
    ServicePortView,
    ServiceView,
    StatusView,
    WatchView,
    WorkersView,
)
from userproxy.core.summary import is_well, status_lines
from userproxy.model import FrontendKind, Probe

ENDPOINT = EndpointView("10.0.0.1", 8080, "n1", True, True, False, True)
PORT = ServicePortView(
    port="http",
    protocol="TCP",
    ip_family="IPv4",
    cluster_ip="10.96.0.10",
    number=80,
    verdict=Verdict.CARRY,
    frontends=(FrontendView("10.96.0.10", 80, "TCP", FrontendKind.CLUSTER_IP, "169.254.77.1:20000"),),
    listeners=(
        ListenerView("169.254.77.1", 20000, True, True),
        ListenerView("10.1.0.5", 30080, False, False),
    ),
    endpoints=(
        ENDPOINT,
        msgspec.structs.replace(ENDPOINT, address="10.0.0.2", node="", ready=False, in_use=False),
    ),
    counters=PortCounters(accepted=7, active=2, failed=1),
    warnings=("its listener is not open",),
)
WEB = ServiceView("default", "web", (PORT,), ("a bad annotation",))
OTHER = ServiceView(
    "kube-system", "dns", (msgspec.structs.replace(PORT, port="", verdict=None, warnings=()),), ()
)


def test_services_in_a_table() -> None:
    rows = tuple(listing.service_rows([WEB, OTHER]))
    shown = table(listing.SERVICE_COLUMNS, rows, namespaces=True, wide=False, headers=True)
    assert [line.split() for line in shown] == [
        ["NAMESPACE", "NAME", "CLUSTER-IP", "PORT", "ENDPOINTS", "STATE", "OPEN", "ACCEPTED", "FAILED"],
        ["default", "web", "10.96.0.10", "http:80/TCP", "1/2", "carried", "2", "7", "1"],
        ["kube-system", "dns", "10.96.0.10", "80/TCP", "1/2", "waiting", "2", "7", "1"],
    ]
    (wide,) = table(listing.SERVICE_COLUMNS, rows[:1], namespaces=False, wide=True, headers=False)
    assert wide.split()[-2:] == ["10.96.0.10:80", "169.254.77.1:20000"]
    assert rows[0].name == "service/web"


def test_endpoints_in_a_table() -> None:
    rows = tuple(listing.endpoint_rows([WEB]))
    shown = table(listing.ENDPOINT_COLUMNS, rows, namespaces=False, wide=False, headers=False)
    assert shown[0].split() == ["web", "http:80/TCP", "10.0.0.1:8080", "n1", "ready", "yes"]
    assert shown[1].split() == ["web", "http:80/TCP", "10.0.0.2:8080", "<none>", "not", "ready", "no"]


@pytest.mark.parametrize(
    ("serving", "terminating", "ready", "says"),
    [
        (True, True, False, "terminating, serving"),
        (False, True, False, "terminating"),
        (True, False, True, "ready"),
    ],
)
def test_conditions(serving: bool, terminating: bool, ready: bool, says: str) -> None:
    assert condition(EndpointView("a", 1, "", ready, serving, terminating, True)) == says


def test_selection_by_namespace_and_name() -> None:
    assert list(selected([WEB, OTHER], "", "")) == [WEB, OTHER]
    assert list(selected([WEB, OTHER], "default", "")) == [WEB]
    assert list(selected([WEB, OTHER], "", "dns")) == [OTHER]
    assert list(selected([WEB, OTHER], "default", "dns")) == []


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (0.9, "0s"),
        (119, "119s"),
        (125, "2m5s"),
        (180, "3m"),
        (3000, "50m"),
        (7200, "2h"),
        (7260, "2h1m"),
        (36000, "10h"),
        (90060, "25h"),
        (200000, "2d"),
    ],
)
def test_ages(seconds: float, text: str) -> None:
    assert duration(seconds) == text


@pytest.mark.parametrize(
    ("count", "text"),
    [(0, "0 B"), (1023, "1023 B"), (1536, "1.5 KiB"), (5 << 40, "5.0 TiB"), (5 << 50, "5120.0 TiB")],
)
def test_amounts(count: int, text: str) -> None:
    assert amount(count) == text


def test_connections_of_all_workers_newest_first() -> None:
    web = key("web", "http")
    old = OpenConnection(web, ("10.0.0.9", 1000), ("10.0.0.1", 8080), 90.0, True, 5, 2048)
    new = OpenConnection(key("dns"), ("fd00::9", 1001), None, 99.5, False, 0, 0)
    view = connections_view(
        [Inspection(0, connections=(old,), open=4), Inspection(1, connections=(new,), open=1)], 100.0, 10
    )
    assert view.open == 5
    assert [one.client for one in view.connections] == ["[fd00::9]:1001", "10.0.0.9:1000"]
    shown = table(
        listing.CONNECTION_COLUMNS,
        tuple(listing.connection_rows(view.connections)),
        namespaces=False,
        wide=True,
        headers=False,
    )
    assert shown[0].split() == [
        "dns",
        "TCP",
        "[fd00::9]:1001",
        "<none>",
        "dialling",
        "0s",
        "0",
        "B",
        "0",
        "B",
        "1",
    ]
    assert shown[1].split()[:5] == ["web", "http/TCP", "10.0.0.9:1000", "10.0.0.1:8080", "carried"]
    flow = msgspec.structs.replace(old, key=key("dns", protocol="UDP"), carried=False)
    states = [
        connections_view([Inspection(0, connections=(one,), open=1)], 100.0, 1).connections[0].state
        for one in (flow, msgspec.structs.replace(flow, carried=True))
    ]
    assert states == ["unanswered", "answered"]
    only = connections_view([Inspection(0, connections=(old, new), open=2)], 100.0, 10, "default", "web")
    assert [one.service for one in only.connections] == ["web"]
    assert (
        connections_view([Inspection(0, connections=(old, new), open=2)], 100.0, 1).connections[0].service
        == "dns"
    )


NOW = datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)
WATCH = WatchView("services", True, True, 3.0, 2, {}, 0, 0, "")
STATUS = StatusView(
    versions={"userproxy": "1.0"},
    started=NOW - timedelta(minutes=5),
    now=NOW,
    healthy=True,
    node_eligible=True,
    ready=True,
    waiting_for=(),
    capture=CaptureView("redirect", "nft"),
    watches=(WATCH,),
    connections=ConnectionTotals(1, 7, 6, 1),
    warnings=(),
    workers=WorkersView(2, 0),
    services=(OTHER,),
)


def test_the_screen_of_an_agent_that_is_well() -> None:
    assert is_well(STATUS)
    assert list(status_lines(STATUS, colour=False)) == [
        "Agent        userproxy 1.0, up 5m",
        "State        ready",
        "Capture      redirect (nft)",
        "Watches      services: 2, last event 3s ago",
        "Services     1 with 1 ports: 1 waiting",
        "Connections  1 open, 7 accepted, 6 carried, 1 failed",
        "Workers      2 running",
    ]


def test_the_screen_of_one_that_is_not() -> None:
    bad = msgspec.structs.replace(
        STATUS,
        ready=False,
        healthy=False,
        node_eligible=False,
        waiting_for=("services are not listed",),
        capture=CaptureView(
            "route", repairs=2, probes=(Probe("redirect (nft)", False, "no nft"), Probe("route", True, ""))
        ),
        watches=(
            msgspec.structs.replace(WATCH, connected=False, last_error="refused", last_event_age=None),
            msgspec.structs.replace(WATCH, resource="nodes", connected=False),
        ),
        workers=WorkersView(0, 3),
        warnings=tuple(f"warning {n}" for n in range(9)),
        services=(WEB,),
    )
    assert not is_well(bad)
    lines = list(status_lines(bad, colour=True))
    assert lines[1] == (
        "State        \x1b[31mnot ready: services are not listed; changes wait for too long; the Node is leaving\x1b[0m"
    )
    assert lines[2:4] == [
        "Capture      route, rules restored 2 times",
        "             not redirect (nft): no nft",
    ]
    assert lines[4] == "Watches      services: 2, no event yet, disconnected (refused)"
    assert lines[5].endswith("disconnected (connecting)")
    assert lines[8] == "Workers      none: connections live in the control process, 3 replaced"
    assert lines[-2:] == ["             a bad annotation", "             and 1 more (-o json has all)"]


def test_no_services_at_all() -> None:
    assert "Services     0 with 0 ports" in status_lines(
        msgspec.structs.replace(STATUS, services=()), colour=False
    )


def test_services_and_their_connections_by_labels() -> None:
    web = ServiceView("default", "web", (), (), {"app": "web"})
    other = ServiceView("default", "other", (), ())
    chosen = list(selected([web, other], "", "", lambda labels: labels.get("app") == "web"))
    assert chosen == [web]
    connections = [
        ConnectionView("default", name, "", "TCP", "10.0.0.9:1", "10.0.0.1:80", "carried", 1.0, 0, 0, 0)
        for name in ("web", "other")
    ]
    assert list(of_services(connections, chosen)) == connections[:1]
