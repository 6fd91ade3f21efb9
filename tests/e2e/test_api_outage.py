"""The API server is gone for half a minute: what was known is served, health tells the truth, and changes arrive afterwards."""

from __future__ import annotations

import json
import socket
import time

import pytest

from tests.e2e.agent import Agent
from tests.e2e.client import ask
from tests.e2e.cluster import CLUSTER_IP, PORT
from tests.e2e.scene import FRONTEND, SERVICE, Scene, needs_all, scene
from tests.e2e.waiting import until

pytestmark = needs_all

OUTAGE = 30.0
COMES_BACK = 40.0
"""Seconds after which a watch has tried again for sure: its longest pause is 30."""
NEW, NEW_IP = "new-service", "10.96.163.27"
OLD, OLD_IP = "old-service", "10.96.163.28"
WATCHES = ("services", "endpointslices", "nodes")


@pytest.mark.timeout(OUTAGE + COMES_BACK + 60)
def test_an_outage_with_changes_meanwhile() -> None:
    with scene() as made, made.agent("--capture", "redirect-nft") as agent:
        made.cluster.put_service(OLD, OLD_IP)
        made.cluster.put_slice(OLD, made.addresses["a"])
        until(lambda: _answer(made, OLD_IP, 0.5) == "a")
        _is_healthy(agent)
        assert _connected(agent) == dict.fromkeys(WATCHES, True)
        with _open_connection(made) as open_before:
            made.cluster.stop()
            _change_everything(made)
            _outage_is_bridged(made, agent, open_before)
            made.cluster.start()
            until(lambda: all(_connected(agent).values()), COMES_BACK)
            until(lambda: _answer(made, NEW_IP, 0.5) == "c")
            until(lambda: _answer(made, OLD_IP, 0.5) == "")
            assert {_answer(made, CLUSTER_IP) for _ in range(6)} == {"b", "c"}
            _echoes(open_before)
        _is_healthy(agent)
        # An error is forgotten with the first thing that the server says, at the latest a bookmark.
        until(lambda: not any(watch["last_error"] for watch in agent.status()["watches"]))


def _change_everything(made: Scene) -> None:
    """A Service comes, one goes, an endpoint of the third goes."""
    made.cluster.put_slice(SERVICE, made.addresses["b"], made.addresses["c"])
    made.cluster.put_service(NEW, NEW_IP)
    made.cluster.put_slice(NEW, made.addresses["c"])
    made.cluster.delete("services", OLD)
    made.cluster.delete("endpointslices", f"{OLD}-1")


def _outage_is_bridged(made: Scene, agent: Agent, open_before: socket.socket) -> None:
    """Until it is over: connections are carried as before, open ones go on, and the watches are said to be cut off."""
    began = time.monotonic()
    until(lambda: not any(_connected(agent).values()))
    while (passed := time.monotonic() - began) < OUTAGE:
        assert {_answer(made, CLUSTER_IP) for _ in range(6)} == {"a", "b", "c"}
        assert _answer(made, OLD_IP) == "a"
        _echoes(open_before)
        _is_healthy(agent)
        status = agent.status()
        assert not any(watch["connected"] for watch in status["watches"])
        assert all(watch["last_event_age"] >= passed for watch in status["watches"])
        assert all(watch["last_error"] for watch in status["watches"])
        for resource in WATCHES:
            assert agent.metric("userproxy_watch_connected", resource=resource) == 0
            assert agent.metric("userproxy_watch_last_event_age_seconds", resource=resource) >= passed
            assert agent.metric("userproxy_watch_restarts_total", resource=resource) > 0
        time.sleep(1)
    assert _answer(made, NEW_IP, 0.5) == ""


def _connected(agent: Agent) -> dict[str, bool]:
    return {watch["resource"]: watch["connected"] for watch in agent.status()["watches"]}


def _is_healthy(agent: Agent) -> None:
    code, text = agent.get("/healthz")
    assert (code, json.loads(text)["healthy"]) == (200, True)
    assert agent.get("/livez")[0] == 200
    assert agent.get("/readyz")[0] == 200


def _answer(made: Scene, ip: str, seconds: float = 5) -> str:
    """Return which endpoint answers; empty when nobody does in so many seconds."""
    with made.net.pod.entered():
        try:
            return ask(ip, PORT, seconds=seconds)
        except TimeoutError:
            return ""


def _open_connection(made: Scene) -> socket.socket:
    with made.net.pod.entered():
        sock = socket.create_connection(FRONTEND, timeout=5)
    assert sock.recv(10) in (b"a\n", b"b\n", b"c\n")
    return sock


def _echoes(sock: socket.socket) -> None:
    sock.sendall(b"still there?")
    assert sock.recv(100) == b"still there?"
