"""A node with Pods, a cluster with one Service and three endpoints, and userproxy: what most end-to-end tests start from.

Owns putting these together and taking them down again.
"""

from __future__ import annotations

import contextlib
import json
import sys
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass

import pytest

from tests.e2e.agent import Agent, started
from tests.e2e.child import ROOT
from tests.e2e.cluster import CLUSTER_IP, PORT, Backends, Cluster
from tests.netns import Namespace, Network, needs_netns, needs_programs, node_with_pods, pod_address

REDIRECTS = ("redirect-nft", "redirect-iptables")
CAPTURES = (*REDIRECTS, "route")
SERVICE = "my-service"
NODE_ADDRESS = "172.30.77.2"
FRONTEND = (CLUSTER_IP, PORT)

needs_all = [pytest.mark.netns, needs_netns, needs_programs("nft", "iptables-nft", "setpriv")]
"""The marks of every module here."""


@dataclass
class Scene:
    """What a test works with. `addresses` are those of the endpoints by name: a, b and c are in Pods 1, 2 and 3."""

    net: Network
    cluster: Cluster
    backends: Backends
    addresses: dict[str, str]

    @contextmanager
    def agent(self, *arguments: str, before: tuple[str, ...] = ()) -> Iterator[Agent]:
        """Run userproxy on the node."""
        with started(self.net.node, self.cluster.url, *arguments, before=before) as agent:
            yield agent


@contextmanager
def scene(*, numbered: bool = True, default_route: bool = True) -> Iterator[Scene]:
    """A node with a client in Pod 0 and endpoints in Pods 1 to 3, all ready, behind the Service; nothing captures yet."""
    with node_with_pods(pods=4, numbered=numbered, default_route=default_route) as net, ExitStack() as stack:
        if not default_route:
            # A node has an address; without one its kernel has no source address to give to any connection to a Pod.
            net.node.run("ip", "addr", "add", NODE_ADDRESS, "dev", "lo")
        places = {name: (net.pods[number], pod_address(number)) for number, name in enumerate("abc", start=1)}
        backends = stack.enter_context(contextlib.closing(Backends(places, net.node)))
        cluster = stack.enter_context(contextlib.closing(Cluster(net.node)))
        addresses = {name: address for name, (_, address) in places.items()}
        cluster.put_service(SERVICE)
        cluster.put_slice(SERVICE, *addresses.values())
        yield Scene(net, cluster, backends, addresses)


def ask_many(
    client: Namespace, count: int, frontend: tuple[str, int] = FRONTEND, *, before: tuple[str, ...] = ()
) -> dict[str, int]:
    """Connect `count` times from a process in `client`; return how often each endpoint answered."""
    program = (sys.executable, str(ROOT / "tests/e2e/client.py"))
    host, port = frontend
    answer: dict[str, int] = json.loads(client.run(*before, *program, host, str(port), str(count)))
    return answer
