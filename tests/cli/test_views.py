"""`status`, `get` and `explain` beside a running demo: text, JSON that reads back, and what they exit with."""

from __future__ import annotations

import subprocess
from contextlib import ExitStack

import msgspec
import pytest
import yaml

from tests.cli.conftest import Demo
from tests.cli.invoke import assert_wrong_input
from tests.e2e.agent import USERPROXY
from tests.e2e.child import ROOT
from tests.e2e.waiting import until
from tests.netns import needs_netns
from userproxy.core.connection_view import ConnectionsView
from userproxy.core.explanation import Explanation
from userproxy.core.status import ServiceView, StatusView

pytestmark = [pytest.mark.netns, needs_netns]
SERVICE = ("10.96.163.26", 80)


def connect(demo: Demo, stack: ExitStack) -> str:
    """Open a connection through the demo's Service until the stack ends; returns the client's address."""
    import socket

    with demo.home.entered():
        client = stack.enter_context(socket.create_connection(SERVICE, timeout=5))
    return f"{client.getsockname()[0]}:{client.getsockname()[1]}"


def test_status_of_an_agent_that_is_ready(demo: Demo) -> None:
    done = demo.userproxy("status", "--wait", "10s")
    assert done.code == 0
    assert "State        ready" in done.out
    assert "Services     1 with 1 ports: 1 carried" in done.out
    view = msgspec.json.decode(demo.userproxy("status", "-o", "json").out, type=StatusView)
    assert view.ready
    assert yaml.safe_load(demo.userproxy("status", "-o", "yaml").out)["ready"] is True


def test_services_endpoints_and_connections(demo: Demo) -> None:
    rows = [line.split() for line in demo.userproxy("get", "services").out.splitlines()]
    assert rows[0][:3] == ["NAME", "CLUSTER-IP", "PORT"]
    assert rows[1][:5] == ["my-service", "10.96.163.26", "80/TCP", "3/3", "carried"]
    assert demo.userproxy("get", "svc", "-A", "--no-headers").out.startswith("default   my-service")
    assert len(demo.userproxy("get", "ep", "my-service", "-o", "wide").out.splitlines()) == 4
    assert demo.userproxy("get", "svc", "-o", "name").out == "service/my-service\n"
    services = msgspec.json.decode(demo.userproxy("get", "svc", "-o", "json").out, type=list[ServiceView])
    assert [one.name for one in services] == ["my-service"]
    with ExitStack() as stack:
        client = connect(demo, stack)
        until(lambda: client in demo.userproxy("get", "connections").out)
        answer = demo.userproxy("get", "conn", "-A", "-o", "json").out
        listed = msgspec.json.decode(answer, type=ConnectionsView).connections
        assert {one.client: one.service for one in listed}[client] == "my-service"
        assert yaml.safe_load(demo.userproxy("get", "conn", "-o", "yaml").out)["open"] >= 1
        assert client in demo.userproxy("get", "conn", "-l", "!tier").out
        assert client not in demo.userproxy("get", "conn", "-l", "tier=web").out
    assert demo.userproxy("get", "svc", "-l", "tier=web").err == "No resources found in namespace default.\n"
    assert demo.userproxy("get", "svc", "-l", "!tier", "-o", "name").out == "service/my-service\n"


def test_explain_names_the_next_pick(demo: Demo) -> None:
    done = demo.userproxy("explain", "10.96.163.26:80", "-o", "json")
    explanation = msgspec.json.decode(done.out, type=Explanation)
    assert (done.code, explanation.answer.split(" by ")[0]) == (0, "carried")
    following = explanation.ports[0].turns[0].cluster[0]
    with ExitStack() as stack:
        client = connect(demo, stack)
        until(lambda: client in demo.userproxy("get", "conn").out)
        answer = msgspec.json.decode(demo.userproxy("get", "conn", "-o", "json").out, type=ConnectionsView)
    assert {one.client: one.endpoint for one in answer.connections}[client] == following
    text = demo.userproxy("explain", "svc/my-service", "--from", "127.0.0.1").out
    assert "next (worker 0): 127.0.10." in text


def test_watching_shows_what_changes(demo: Demo) -> None:
    process = demo.home.start(*USERPROXY, "get", "connections", "-w", cwd=ROOT, stdout=subprocess.PIPE)
    try:
        with ExitStack() as stack:
            client = connect(demo, stack)
            assert process.stdout is not None
            assert any(client in line for line in process.stdout)
    finally:
        process.terminate()
        process.wait(10)
        process.stdout.close()


NO_AGENT = "no agent answers at 127.0.0.1:9"


@pytest.mark.parametrize(
    ("arguments", "code", "says"),
    [
        (["status", "--agent", "127.0.0.1:9"], 1, NO_AGENT),
        (["status", "--agent", "127.0.0.1:9", "--wait", "0.1"], 1, NO_AGENT),
        (["status", "--agent", "somewhere"], 2, "--agent: 'somewhere' is not an address"),
        (["status", "--wait", "soon"], 2, "'soon' is not a duration"),
        (["status", "-o", "xml"], 2, "'xml'"),
        (["get"], 2, "KIND"),
        (["get", "pods"], 2, "'pods'"),
        (["get", "services", "--agent", "127.0.0.1:9"], 1, NO_AGENT),
        (["get", "services", "-l", "app in"], 2, "--selector"),
        (["explain"], 2, "TARGET"),
        (["explain", "web"], 2, "'web' names nothing that can be explained; write ADDRESS:PORT"),
        (["explain", "10.0.0.1:99999"], 2, "there is no port 99999"),
        (["explain", "10.0.0.1:80", "--from", "me"], 2, "--from: 'me' is not an IP address"),
        (["explain", "10.0.0.1:80", "--agent", "127.0.0.1:9"], 1, NO_AGENT),
        (["check", "--only", "everything"], 2, "--only: there is no check 'everything'"),
        (["check", "--wait", "x"], 2, "'x' is not a duration"),
        (["check", "--pre", "--only", "api"], 2, "no check is left to run"),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, list) else None,
)
def test_wrong_input_is_one_useful_line(arguments: list[str], code: int, says: str) -> None:
    assert_wrong_input(arguments, code, says)


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (["get", "services", "nix"], "there are no services of Service default/nix"),
        (["get", "ep", "nix", "-A"], "there are no endpoints of Service */nix"),
        (["get", "svc", "-n", "empty"], ""),
    ],
)
def test_what_is_not_there(demo: Demo, arguments: list[str], says: str) -> None:
    done = demo.userproxy(*arguments)
    assert done.code == (1 if says else 0)
    assert (says or "No resources found in namespace empty.") in done.err
    assert done.out == ""


def test_explaining_what_is_not_there_fails_with_advice(demo: Demo) -> None:
    done = demo.userproxy("explain", "svc/nix")
    assert done.code == 1
    assert "no Service default/nix is known here" in done.out
    assert "→ kubectl -n default get service nix" in done.out
