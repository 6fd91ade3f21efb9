"""What answers of an API server and of an agent mean."""

from __future__ import annotations

from datetime import UTC, datetime

import msgspec
import pytest

from userproxy.core.cluster_checks import ApiAnswers, Permission, agent_findings, api_findings
from userproxy.core.findings import CHECKS, Outcome
from userproxy.core.status import CaptureView, ConnectionTotals, ServiceView, StatusView, WatchView

OK, WARNING, FAILED = Outcome.OK, Outcome.WARNING, Outcome.FAILED
ALLOWED = (Permission("list", "services", allowed=True), Permission("watch", "services", allowed=True))
ANSWERS = ApiAnswers(
    server="https://10.0.0.1:6443",
    host="10.0.0.1",
    version="v1.36.2",
    clock_skew=0.2,
    node="n1",
    node_status=200,
    cluster_ip="10.96.0.1",
    permissions=ALLOWED,
)
WATCH = WatchView("services", True, True, 1.0, 3, {}, 0, 0, "")
NOW = datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)
STATUS = StatusView(
    versions={"userproxy": "1.0"},
    started=NOW,
    now=NOW,
    healthy=True,
    node_eligible=True,
    ready=True,
    waiting_for=(),
    capture=CaptureView("redirect", "nft"),
    watches=(WATCH,),
    connections=ConnectionTotals(),
    warnings=(),
)


def test_a_server_that_answers_well() -> None:
    findings = list(api_findings(ANSWERS))
    assert [one.outcome for one in findings] == [OK] * 5
    assert {one.check for one in findings} == {name for name in CHECKS if name.startswith("api/")}


def test_a_server_that_does_not_answer_is_one_failure() -> None:
    (finding,) = api_findings(ApiAnswers(failure="connection refused"))
    assert (finding.check, finding.outcome, finding.text) == ("api/reachable", FAILED, "connection refused")


@pytest.mark.parametrize(
    ("change", "check", "outcome", "says"),
    [
        ({"permissions": (Permission("list", "nodes", allowed=False),)}, "api/allowed", FAILED, "list nodes"),
        (
            {"permissions": (Permission("list", "nodes", allowed=None),)},
            "api/allowed",
            WARNING,
            "does not say",
        ),
        (
            {"permissions": (*ALLOWED, Permission("create", "events", allowed=False, needed=False))},
            "api/allowed",
            WARNING,
            "not needed either: create events",
        ),
        ({"node_status": 404}, "api/node", WARNING, "there is no Node n1"),
        ({"node_status": 403}, "api/node", WARNING, "answered 403"),
        ({"cluster_ip": "10.0.0.1"}, "api/address", WARNING, "10.0.0.1 is the ClusterIP"),
        ({"clock_skew": 31.0}, "api/clock", WARNING, "31 s ahead of"),
        ({"clock_skew": -90.0}, "api/clock", WARNING, "90 s behind"),
    ],
)
def test_each_trouble_of_the_server(change: dict, check: str, outcome: Outcome, says: str) -> None:
    findings = api_findings(msgspec.structs.replace(ANSWERS, **change))
    (finding,) = [one for one in findings if one.outcome is not OK]
    assert (finding.check, finding.outcome) == (check, outcome)
    assert says in finding.text
    assert finding.hint


def test_a_server_without_date_has_no_clock_to_compare() -> None:
    findings = api_findings(msgspec.structs.replace(ANSWERS, clock_skew=None))
    assert "api/clock" not in {one.check for one in findings}


def test_an_agent_that_works() -> None:
    findings = list(agent_findings(STATUS, "", "1.0"))
    assert [one.outcome for one in findings] == [OK] * 6
    assert {one.check for one in findings} == {name for name in CHECKS if name.startswith("agent/")}


def test_no_agent_is_one_failure() -> None:
    (finding,) = agent_findings(None, "connection refused", "1.0")
    assert (finding.check, finding.outcome) == ("agent/running", FAILED)


SICK = ServiceView("default", "web", (), ("annotation x is not known", "another"))


@pytest.mark.parametrize(
    ("change", "check", "outcome", "says"),
    [
        ({"versions": {}}, "agent/version", WARNING, "the agent is unknown"),
        ({"waiting_for": ("services were not listed",)}, "agent/ready", FAILED, "services were not listed"),
        ({"healthy": False}, "agent/ready", FAILED, "not applied in time"),
        ({"node_eligible": False}, "agent/ready", WARNING, "Node is leaving"),
        (
            {"watches": (msgspec.structs.replace(WATCH, connected=False, last_error="refused"),)},
            "agent/watches",
            WARNING,
            "services: refused",
        ),
        ({"warnings": ("nft failed",)}, "agent/capture", WARNING, "redirect (nft): nft failed"),
        ({"capture": CaptureView("route", repairs=3)}, "agent/capture", WARNING, "changed its rules 3 times"),
        ({"services": (SICK,)}, "agent/services", WARNING, "annotation x is not known and 1 more"),
        (
            {"services": (msgspec.structs.replace(SICK, warnings=("alone",)),)},
            "agent/services",
            WARNING,
            "alone",
        ),
    ],
)
def test_each_trouble_of_the_agent(change: dict, check: str, outcome: Outcome, says: str) -> None:
    findings = agent_findings(msgspec.structs.replace(STATUS, **change), "", "1.0")
    (finding,) = [one for one in findings if one.outcome is not OK]
    assert (finding.check, finding.outcome) == (check, outcome)
    assert says in finding.text
    assert finding.hint
