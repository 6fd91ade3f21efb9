"""Connections are carried to the endpoints in exact round robin, from Pods and from the node, however they are captured."""

from __future__ import annotations

import contextlib
import socket
from typing import Any

import pytest

from tests.e2e.agent import ordinary_user, started
from tests.e2e.client import ask
from tests.e2e.cluster import Cluster
from tests.e2e.scene import CAPTURES, FRONTEND, REDIRECTS, SERVICE, Scene, ask_many, needs_all, scene
from tests.e2e.waiting import until
from tests.netns import Namespace, pod_address

pytestmark = needs_all

EVEN = {"a": 100, "b": 100, "c": 100}
ONE_RING = ("--workers", "1")
"""Each worker goes round on its own, so that exactness is one worker's."""

SHAPES = {
    "plain": {"numbered": True, "default_route": True},
    "bare": {"numbered": False, "default_route": False},
    "unnumbered": {"numbered": False, "default_route": True},
    "no-default-route": {"numbered": True, "default_route": False},
}
"""Of the node: whether its ends of the veth pairs have addresses, and whether it has a default route."""

CASES = [
    *((capture, shape) for capture in CAPTURES for shape in ("plain", "bare")),
    ("redirect-nft", "unnumbered"),
    ("redirect-nft", "no-default-route"),
]


@pytest.mark.parametrize(("capture", "shape"), CASES)
def test_pod_and_node(capture: str, shape: str) -> None:
    with scene(**SHAPES[shape]) as made, made.agent("--capture", capture, *ONE_RING) as agent:
        assert ask_many(made.net.pod, 300) == EVEN
        assert ask_many(made.net.node, 300) == EVEN
        assert made.backends.counts() == {name: 2 * count for name, count in EVEN.items()}
        until(lambda: agent.metric("userproxy_connections_carried_total", service=SERVICE) == 600)
        name, _, detail = capture.partition("-")
        assert agent.status()["capture"]["name"] == name
        assert agent.status()["capture"]["detail"].startswith(detail)


def test_an_endpoint_reaches_its_own_service() -> None:
    with scene() as made, made.agent("--capture", "redirect-nft", *ONE_RING):
        assert ask_many(made.net.pods[1], 300) == EVEN


def test_an_ordinary_user() -> None:
    user = ordinary_user()
    with scene() as made, made.agent("--capture", "loopback", *ONE_RING, before=user) as agent:
        address, port = agent.frontend(SERVICE)
        assert address.startswith("127.")
        assert port >= 1024
        assert ask_many(made.net.node, 300, (address, port), before=user) == EVEN


def test_auto_takes_loopback_for_an_ordinary_user_and_says_why() -> None:
    with scene() as made, made.agent("--capture", "auto", *ONE_RING, before=ordinary_user()) as agent:
        capture = agent.status()["capture"]
        assert capture["name"] == "loopback"
        passed_over = {probe["capture"]: probe for probe in capture["probes"] if not probe["usable"]}
        assert set(passed_over) == {"redirect (nft)", "redirect (iptables)", "route"}
        assert all("CAP_NET_ADMIN" in probe["reason"] for probe in passed_over.values())
        assert ask_many(made.net.node, 3, agent.frontend(SERVICE)) == {"a": 1, "b": 1, "c": 1}


@pytest.mark.parametrize("capture", REDIRECTS)
def test_a_direct_connection_to_the_listener_is_refused(capture: str) -> None:
    with scene() as made, made.agent("--capture", capture) as agent:
        listener = _listener_of(agent.port_status(SERVICE))
        assert listener[0] == "169.254.77.1"
        for client in (made.net.pod, made.net.node):
            assert _is_refused(client, listener)
        until(lambda: agent.metric("userproxy_direct_refused_total", service=SERVICE) == 2)
        assert made.backends.counts() == {}
        assert sum(ask_many(made.net.pod, 3).values()) == 3


@pytest.mark.parametrize("capture", REDIRECTS)
def test_a_sidecar_serves_its_own_pod_only(capture: str) -> None:
    with scene() as made, contextlib.closing(Cluster(made.net.pod)) as cluster:
        cluster.put_service(SERVICE)
        cluster.put_slice(SERVICE, *made.addresses.values())
        with started(made.net.pod, cluster.url, "--sidecar", "--capture", capture, *ONE_RING) as agent:
            assert ask_many(made.net.pod, 300) == EVEN
            listener = _listener_of(agent.port_status(SERVICE))
            assert listener[0] == "127.0.0.1"
            _neighbour_is_not_captured(made)
            assert _is_refused(made.net.pods[1], (pod_address(0), listener[1]))
            assert sum(made.backends.counts().values()) == 300


def _neighbour_is_not_captured(made: Scene) -> None:
    """Even what a neighbour sends to the ClusterIP by way of the sidecar's Pod is left alone."""
    made.net.node.run("ip", "route", "add", FRONTEND[0], "via", pod_address(0))
    before = _packets_in(made.net.pod)
    with made.net.pods[1].entered(), pytest.raises(TimeoutError):
        ask(*FRONTEND, seconds=0.5)
    assert _packets_in(made.net.pod) > before, "the neighbour's packets did not come by"


def _packets_in(namespace: Namespace) -> int:
    return int(namespace.run("cat", "/sys/class/net/eth0/statistics/rx_packets"))


def _listener_of(port: dict[str, Any]) -> tuple[str, int]:
    (frontend,) = port["frontends"]
    host, _, number = frontend["listener"].rpartition(":")
    return host, int(number)


def _is_refused(client: Namespace, address: tuple[str, int]) -> bool:
    """Whether a connection ends in RST, at once or before a byte came."""
    with client.entered():
        try:
            with socket.create_connection(address, timeout=3) as sock:
                sock.recv(1)
        except (ConnectionRefusedError, ConnectionResetError):
            return True
    return False
