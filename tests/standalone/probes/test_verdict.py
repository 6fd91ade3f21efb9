"""Thresholds and conditions."""

from __future__ import annotations

from typing import Any

import pytest

from userproxy.standalone.probes.declared import Probe
from userproxy.standalone.probes.verdict import Verdict, conditions


@pytest.mark.parametrize(
    ("successes", "failures", "results", "ready"),
    [
        (1, 3, "+", "+"),
        (1, 3, "--+--+---+", "--++++++-+"),
        (2, 1, "+-++-++", "---+--+"),
        (3, 2, "+++-+--+++", "--++++---+"),
    ],
)
def test_thresholds(successes: int, failures: int, results: str, ready: str) -> None:
    probe, verdict = Probe("h", 1, successes=successes, failures=failures), Verdict()
    shown = ""
    for result in results:
        verdict.take(probe, success=result == "+")
        shown += "+" if verdict.ready else "-"
    assert shown == ready


def pod(*conditions: dict[str, Any], **spec: Any) -> dict[str, Any]:
    return {"spec": {"containers": [{"name": "c"}], **spec}, "status": {"conditions": list(conditions)}}


def test_a_condition_keeps_its_time_while_its_status_stays() -> None:
    first = conditions(pod(), {"c": False}, {}, "T1")
    assert [(c["type"], c["status"], c["lastTransitionTime"]) for c in first] == [
        ("Ready", "False", "T1"),
        ("ContainersReady", "False", "T1"),
    ]
    assert first[0]["reason"] == "ContainersNotReady"
    assert first[0]["message"] == "containers with unready status: [c]"
    assert conditions(pod(*first), {"c": False}, {}, "T2") == first
    later = conditions(pod(*first), {"c": True}, {}, "T3")
    assert later == [
        {"type": kind, "status": "True", "lastProbeTime": None, "lastTransitionTime": "T3"}
        for kind in ("Ready", "ContainersReady")
    ]


def test_conditions_of_others_stay() -> None:
    gate = {"type": "example.com/gate", "status": "False"}
    made = conditions(pod(gate, readinessGates=[{"conditionType": "example.com/gate"}]), {"c": True}, {}, "T")
    assert made[0] == gate
    assert [(c["type"], c["status"]) for c in made[1:]] == [("Ready", "False"), ("ContainersReady", "True")]
    assert made[1]["reason"] == "ReadinessGatesNotReady"


def test_a_probe_that_is_not_run_is_told() -> None:
    ready, _containers = conditions(pod(), {"a": True}, {"b": "use tcpSocket"}, "T")
    assert (ready["status"], ready["reason"]) == ("False", "ProbeNotSupported")
    assert ready["message"] == "containers with unready status: [b]; b: use tcpSocket"


def test_gates_that_are_none_do_not_matter() -> None:
    made = conditions(pod(readinessGates=["nonsense", 7, None]), {"c": True}, {}, "T")
    assert [condition["status"] for condition in made] == ["True", "True"]
