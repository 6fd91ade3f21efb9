"""Endpoints see the client's own address, from start to end: agent, workers with one capability, capture, and no trace left."""

from __future__ import annotations

import contextlib
import socket
from collections.abc import Iterator
from pathlib import Path

from tests.e2e.agent import Agent
from tests.e2e.cluster import CLUSTER_IP, NODE_NAME, PORT, Cluster
from tests.e2e.scene import SERVICE, Scene, needs_all, scene
from tests.e2e.waiting import until
from tests.kube.objects import endpoint_slice, service
from tests.netns import Namespace, namespace, pod_address

pytestmark = needs_all

ENDPOINT_PORT = 9090
NODE_PORT = 30090
CAP_NET_RAW = 1 << 13
PAYLOAD = bytes(range(256)) * 4096


@contextlib.contextmanager
def endpoint(made: Scene, pod: int) -> Iterator[socket.socket]:
    """A listening socket in a Pod, the only endpoint of the Service."""
    with listening(made.net.pods[pod], pod_address(pod)) as listener:
        made.cluster.put_slice(SERVICE, pod_address(pod), port=ENDPOINT_PORT)
        yield listener


@contextlib.contextmanager
def listening(inside: Namespace, address: str) -> Iterator[socket.socket]:
    """A listening socket in a namespace."""
    with inside.entered():
        listener = socket.create_server((address, ENDPOINT_PORT))
    with listener:
        listener.settimeout(10)
        yield listener


def seen(listener: socket.socket, client: Namespace, frontend: tuple[str, int] = (CLUSTER_IP, PORT)) -> str:
    """Send bytes both ways from `client`; return the address that the endpoint sees."""
    with client.entered():
        sock = socket.create_connection(frontend, timeout=10)
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


def test_every_client_of_a_cluster_ip() -> None:
    with scene() as made:
        node, pod = made.net.node, made.net.pod
        before = node.state()
        with made.agent("--capture", "route", "--transparent", "all") as agent:
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
        assert node.state() == before


def test_by_annotation() -> None:
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


@contextlib.contextmanager
def other_node(node: Namespace) -> Iterator[tuple[Namespace, Namespace]]:
    """A second node beside `node`, with routes between their Pods, and its Pod: 172.31.77.2 and 10.78.0.2."""
    with namespace("other") as other, namespace("far") as pod:
        node.run("ip", "link", "add", "other", "type", "veth", "peer", "name", "uplink", "netns", other.name)
        other.run("ip", "link", "add", "pod", "type", "veth", "peer", "name", "eth0", "netns", pod.name)
        for inside, device, address in (
            (node, "other", "172.31.77.1/24"),
            (other, "uplink", "172.31.77.2/24"),
            (other, "pod", "10.78.0.1/24"),
            (pod, "eth0", "10.78.0.2/24"),
        ):
            inside.run("ip", "addr", "add", address, "dev", device)
            inside.run("ip", "link", "set", device, "up")
        other.set("net/ipv4/ip_forward", "1")
        node.run("ip", "route", "add", "10.78.0.0/24", "via", "172.31.77.2")
        other.run("ip", "route", "add", "10.77.0.0/16", "via", "172.31.77.1")
        pod.run("ip", "route", "add", "default", "via", "10.78.0.1")
        yield other, pod


def test_an_endpoint_on_another_node_and_a_client_from_outside() -> None:
    """A Pod is seen on another node, and a client of a node port whose policy is Local on this one."""
    with scene() as made, other_node(made.net.node) as (other, far):
        edge = service("edge", "10.96.163.30", type="NodePort", externalTrafficPolicy="Local")
        edge["spec"]["ports"] = [{"port": 80, "protocol": "TCP", "nodePort": NODE_PORT}]
        made.cluster.put("services", edge)
        here = {"addresses": [pod_address(1)], "nodeName": NODE_NAME}
        made.cluster.put(
            "endpointslices", endpoint_slice("edge-1", "edge", port=ENDPOINT_PORT, endpoints=[here])
        )
        made.cluster.put_slice(SERVICE, "10.78.0.2", port=ENDPOINT_PORT)
        arguments = ("--transparent", "all", "--nodeport-addresses", "172.31.77.0/24")
        with made.agent(*arguments):
            with listening(far, "10.78.0.2") as listener:
                assert seen(listener, made.net.pod) == pod_address(0)
            with listening(made.net.pods[1], pod_address(1)) as listener:
                assert seen(listener, other, ("172.31.77.1", NODE_PORT)) == "172.31.77.2"
