"""Cluster DNS through userproxy: both families, TCP beside UDP, a load of questions while an endpoint leaves."""

from __future__ import annotations

import json
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from tests.e2e.child import ROOT
from tests.e2e.scene import Scene, ask_many, needs_all, scene
from tests.e2e.waiting import until
from tests.kube.objects import endpoint_slice, service
from tests.netns import Namespace, needs_programs, pod_address

pytestmark = [*needs_all, needs_programs("dig")]

DNS = "kube-dns"
ADDRESSES = {False: "10.96.0.10", True: "fd00:96::a"}
"""ClusterIPs, by whether they are IPv6."""
NAMES = ("192.0.2.1", "192.0.2.2", "192.0.2.3")
"""What the servers in Pods 1 to 3 answer with."""
SERVER_PORT = 5353
ROUND = 1250


@pytest.mark.parametrize("capture", ["redirect-nft", "route"])
def test_no_question_is_lost_when_an_endpoint_leaves(capture: str) -> None:
    with scene() as made, servers(made), made.agent("--capture", capture, "--workers", "2") as agent:
        offer(made, NAMES)
        until(lambda: len(frontends(agent.status())) == 4)
        for client in (made.net.pod, made.net.node):
            for address in ADDRESSES.values():
                assert dig(client, address) in NAMES
        # Without an endpoint clients are dropped or refused, as is asked for; the address is local by then.
        for action, address in (("drop", "10.96.0.11"), ("reject", "10.96.0.12")):
            offer_nothing(made, action, address)
            until(lambda action=action, address=address: meets(made.net.pod, address) == action)
        # TCP on the same port number is another Service port.
        assert sum(ask_many(made.net.pod, 6, (ADDRESSES[False], 53)).values()) == 6
        with load(made.net.pod, ADDRESSES[False]) as client:
            first = next_round(client)
            assert set(first["answers"]) == set(NAMES)
            offer(made, NAMES[1:])
            # The round during which it leaves, and one after it has left.
            rounds = [next_round(client)]
            until(lambda: endpoints_usable(agent.status()) == 2)
            rounds += [next_round(client), next_round(client)]
            assert sum(one["lost"] for one in (first, *rounds)) == 0
            assert set(rounds[-1]["answers"]) == set(NAMES[1:])
        labels = {"service": DNS, "protocol": "UDP"}
        until(lambda: agent.metric("userproxy_udp_datagrams_total", direction="sent", **labels) >= 4 * ROUND)
        assert agent.metric("userproxy_udp_datagrams_lost_total", **labels) == 0
        assert agent.metric("userproxy_udp_flows_active", **labels) > 0


@contextmanager
def servers(made: Scene) -> Iterator[None]:
    """A DNS server in each of Pods 1 to 3, on both families."""
    sockets: list[tuple[str, socket.socket]] = []
    for number, name in enumerate(NAMES, start=1):
        for family in (socket.AF_INET, socket.AF_INET6):
            with made.net.pods[number].entered():
                sock = socket.socket(family, socket.SOCK_DGRAM)
                sock.bind((pod_address(number, ipv6=family is socket.AF_INET6), SERVER_PORT))
            sockets.append((name, sock))
    places = json.dumps([[name, sock.fileno()] for name, sock in sockets])
    process = subprocess.Popen(
        [sys.executable, "-m", "tests.dns_server", places],
        cwd=ROOT,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        pass_fds=[sock.fileno() for _, sock in sockets],
    )
    with process:
        for _, sock in sockets:
            sock.close()
        yield
        process.stdin.close()


def offer(made: Scene, names: tuple[str, ...]) -> None:
    """Put the DNS Service and those of its endpoints that are ready into the API server."""
    ports = [
        {"name": "dns", "protocol": "UDP", "port": 53, "targetPort": SERVER_PORT},
        {"name": "dns-tcp", "protocol": "TCP", "port": 53, "targetPort": 8080},
    ]
    both = list(ADDRESSES.values())
    made.cluster.put(
        "services", service(DNS, both[0], clusterIPs=both, ipFamilies=["IPv4", "IPv6"], ports=ports)
    )
    for ipv6 in (False, True):
        addresses = [pod_address(1 + NAMES.index(name), ipv6=ipv6) for name in names]
        made.cluster.put(
            "endpointslices",
            endpoint_slice(
                f"{DNS}-{'six' if ipv6 else 'four'}",
                DNS,
                *addresses,
                addressType="IPv6" if ipv6 else "IPv4",
                ports=[
                    {"name": "dns", "protocol": "UDP", "port": SERVER_PORT},
                    {"name": "dns-tcp", "protocol": "TCP", "port": 8080},
                ],
            ),
        )


def offer_nothing(made: Scene, action: str, address: str) -> None:
    """Put a Service without endpoints into the API server."""
    item = service(action, address, ports=[{"protocol": "UDP", "port": 53, "targetPort": SERVER_PORT}])
    item["metadata"]["annotations"] = {"userproxy.dev/no-endpoints": action}
    made.cluster.put("services", item)


def meets(client: Namespace, address: str) -> str:
    """Return what a datagram meets: `drop`, `reject` or `other`."""
    with client.entered(), socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
        sock.settimeout(0.3)
        sock.connect((address, 53))
        sock.send(b"question")
        try:
            sock.recv(100)
        except TimeoutError:
            return "drop"
        except ConnectionRefusedError:
            return "reject"
        except OSError:  # the way is not there yet
            pass
    return "other"


def dig(client: Namespace, server: str) -> str:
    """Ask once, without another try."""
    return client.run("dig", "+short", "+tries=1", "+time=5", f"@{server}", "my-service.default.svc").strip()


@contextmanager
def load(client: Namespace, server: str) -> Iterator[subprocess.Popen[str]]:
    """Fifty questions at a time, each from a port of its own, until the standard input is closed."""
    process = client.start(
        *(sys.executable, "-m", "tests.dns_client", server, "53", "50", str(ROUND), "0"),
        cwd=ROOT,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
    )
    with process:
        yield process
        process.stdin.close()
        process.stdout.read()


def next_round(process: subprocess.Popen[str]) -> dict:
    """Return what became of the next ROUND questions."""
    return json.loads(process.stdout.readline())


def frontends(status: dict) -> list[str]:
    """Where the DNS Service is reached now."""
    return [one for port in dns_ports(status) for one in port["frontends"]]


def endpoints_usable(status: dict) -> int:
    """How many endpoints take questions over IPv4."""
    [port] = [one for one in dns_ports(status) if (one["protocol"], one["ip_family"]) == ("UDP", "IPv4")]
    return sum(one["in_use"] for one in port["endpoints"])


def dns_ports(status: dict) -> list[dict]:
    """The ports of the DNS Service in /status."""
    return [port for one in status["services"] if one["name"] == DNS for port in one["ports"]]
