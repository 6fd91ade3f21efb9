"""What is tried of a status, and how results are shown."""

from __future__ import annotations

import msgspec
import pytest

from tests.core.test_listing import PORT
from userproxy.core.connectivity import (
    ConnectivityReport,
    Outcome,
    Result,
    Trial,
    passed,
    report,
    result_lines,
    trials,
    without_loopback,
)
from userproxy.core.policy import Verdict
from userproxy.core.status import FrontendView, ServicePortView, ServiceView
from userproxy.model import FrontendKind


def front(address: str, kind: FrontendKind, port: int = 80) -> FrontendView:
    return FrontendView(address, port, "TCP", kind, "")


def tried(port: ServicePortView) -> list[Trial]:
    return list(trials([ServiceView("default", "web", (port,), ())]))


def test_cluster_ip_and_a_few_node_addresses_are_tried() -> None:
    frontends = (
        front("10.96.0.10", FrontendKind.CLUSTER_IP),
        front("127.0.0.1", FrontendKind.NODE_PORT, 30080),
        front("10.1.0.5", FrontendKind.NODE_PORT, 30080),
        front("10.1.0.6", FrontendKind.NODE_PORT, 30080),
        front("192.0.2.1", FrontendKind.EXTERNAL_IP),
    )
    found = tried(msgspec.structs.replace(PORT, frontends=frontends, affinity_seconds=60))
    assert [one.address for one in found] == [("10.96.0.10", 80), ("10.1.0.5", 30080), ("10.1.0.6", 30080)]
    assert all(one.affinity and not one.skip for one in found)
    assert found[0].of == ("default", "web")


@pytest.mark.parametrize(
    ("change", "says"),
    [
        ({"frontends": ()}, "not captured on this host"),
        ({"protocol": "SCTP"}, "SCTP is not served"),
        ({"verdict": Verdict.DROP}, "no endpoint is usable"),
        ({"verdict": None}, "no endpoint is usable"),
    ],
)
def test_what_cannot_work_is_skipped_with_the_reason(change: dict, says: str) -> None:
    (trial,) = tried(msgspec.structs.replace(PORT, **change))
    assert says in trial.skip
    assert trial.address == ("10.96.0.10", 80)


def test_loopback_addresses_are_not_for_others() -> None:
    (trial,) = tried(PORT)
    assert without_loopback(trial) == trial
    assert without_loopback(msgspec.structs.replace(trial, host="127.9.9.9")).skip
    skipped = msgspec.structs.replace(trial, host="127.9.9.9", skip="before")
    assert without_loopback(skipped).skip == "before"


def test_results_in_a_table_and_as_json() -> None:
    (trial,) = tried(PORT)
    plain = msgspec.structs.replace(trial, namespace="", service="kubernetes")
    results = [
        Result(trial, "host", Outcome.OK, "carried to 10.0.0.1:8080", 0.012),
        Result(plain, "namespace", Outcome.UNANSWERED, "no answer"),
    ]
    assert passed(results)
    lines = list(result_lines(results))
    assert lines[1].split() == [
        *(["√", "default/web", "http:80/TCP", "ClusterIP", "10.96.0.10:80", "IPv4", "host", "12", "ms"]),
        *(["carried", "to", "10.0.0.1:8080"]),
    ]
    assert lines[2].split()[:2] == ["‼", "kubernetes"]
    assert lines[-1] == "2 tests: 1 ok, 1 unanswered"
    bad = [*results, Result(trial, "host", Outcome.FAILED, "refused")]
    read = msgspec.json.decode(msgspec.json.encode(report(bad)), type=ConnectivityReport)
    assert not read.passed
    assert read.results == tuple(bad)
    assert list(result_lines([])) == ["0 tests: there is nothing to try"]
