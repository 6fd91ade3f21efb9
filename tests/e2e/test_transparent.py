"""Endpoints see the client's own address, from start to end: agent, workers with one capability, capture, and no trace left."""

from __future__ import annotations

import contextlib
import socket
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.e2e.agent import Agent
from tests.e2e.cluster import CLUSTER_IP, PORT, Cluster
from tests.e2e.scene import SERVICE, Scene, needs_all, scene
from tests.e2e.waiting import until
from tests.netns import Namespace, namespace, pod_address

pytestmark = needs_all

ENDPOINT_PORT = 9090
CAP_NET_RAW = 1 << 13
PAYLOAD = bytes(range(256)) * 4096


@contextlib.contextmanager
def endpoint(made: Scene, pod: int) -> Iterator[socket.socket]:
    """A listening socket in a Pod, the only endpoint of the Service."""
    address = pod_address(pod)
    with made.net.pods[pod].entered():
        listener = socket.create_server((address, ENDPOINT_PORT))
    with listener:
        listener.settimeout(10)
        made.cluster.put_slice(SERVICE, address, port=ENDPOINT_PORT)
        yield listener


def seen(listener: socket.socket, client: Namespace) -> str:
    """Send bytes both ways from `client`; return the address that the endpoint sees."""
    with client.entered():
        sock = socket.create_connection((CLUSTER_IP, PORT), timeout=10)
    with sock:
        accepted, peer = listener.accept()
        with accepted:
            accepted.settimeout(10)
            sock.sendall(b"question")
            assert accepted.recv(100) == b"question"
            accepted.sendall(PAYLOAD)
            accepted.shutdown(socket.SHUT_WR)
            with sock.makefile("rb") as answer:
                assert answer.read() == PAYLOAD
    return str(peer[0])


def capabilities(agent: Agent) -> set[int]:
    """Return the effective capabilities of the workers."""
    children = Path(f"/proc/{agent.pid}/task/{agent.pid}/children").read_text().split()
    found = set()
    for child in children:
        lines = Path(f"/proc/{child}/status").read_text().splitlines()
        found |= {int(line.split()[1], 16) for line in lines if line.startswith(("CapEff", "CapPrm"))}
    return found


def served(agent: Agent, address: str) -> bool:
    endpoints = agent.port_status(SERVICE)["endpoints"]
    return [one["address"] for one in endpoints] == [address]


@pytest.mark.parametrize("capture", ["redirect-iptables", "route"])
def test_every_client_of_a_cluster_ip(capture: str) -> None:
    with scene() as made:
        node, pod = made.net.node, made.net.pod
        before = node.state()
        with made.agent("--capture", capture, "--transparent", "all") as agent:
            assert capabilities(agent) == {CAP_NET_RAW}
            with endpoint(made, 1) as listener:
                until(lambda: served(agent, pod_address(1)))
                assert seen(listener, pod) == pod_address(0)
                assert seen(listener, node) == "10.77.1.1"  # the node's end of the wire to Pod 1
            with endpoint(
                made, 0
            ) as listener:  # the client's own Pod: a host refuses packets from its own address
                until(lambda: served(agent, pod_address(0)))
                assert seen(listener, pod) != pod_address(0)
        after = node.state()
        assert "userproxy" not in after.pop("nft")  # iptables-nft leaves empty chains of its own
        del before["nft"]
        assert after == before


def test_by_annotation_only_and_without_the_flag_it_is_named() -> None:
    wish = {"userproxy.dev/transparent": "true"}
    with scene() as made:
        with (
            made.agent("--transparent", "annotated", "--workers", "0") as agent,
            endpoint(made, 1) as listener,
        ):
            until(lambda: served(agent, pod_address(1)))
            assert seen(listener, made.net.pod) != pod_address(0)
            made.cluster.put_service(SERVICE, annotations=wish)
            until(lambda: seen(listener, made.net.pod) == pod_address(0))
        with made.agent() as agent:
            until(lambda: "transparent is ignored: start userproxy with --transparent" in agent.log)
            assert capabilities(agent) == {0}


def test_without_the_capability_for_workers_it_does_not_start() -> None:
    with namespace("host") as host, contextlib.closing(Cluster(host)) as cluster:
        less = ("setpriv", "--bounding-set=-net_raw")
        agent = Agent(host, cluster.url, "--capture", "none", "--transparent", "all", before=less)
        try:
            assert agent.process.wait(15) == 1
            assert "--transparent is not usable: workers need CAP_NET_RAW" in agent.log
            assert "Traceback" not in agent.log
        finally:
            agent.close()
