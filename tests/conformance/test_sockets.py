"""A chosen part of the cases with real sockets: a Pod, the node and a host beside it, through a running userproxy."""

from __future__ import annotations

import contextlib
import errno
import json
import socket
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from typing import Any

import pytest

from tests.conformance.case import ENDPOINT_PORT, ENDPOINTS, POD_NETWORKS, SOURCES, ZONE, Case, Flow, cases
from tests.e2e.agent import Agent, started
from tests.e2e.child import Child
from tests.e2e.cluster import NODE_NAME, Cluster
from tests.e2e.scene import needs_all
from tests.e2e.waiting import until
from tests.kube.objects import node
from tests.netns import Namespace, node_with_pods

pytestmark = needs_all

SILENCE = 0.3
"""Seconds without any answer that count as dropped; all hosts are on one machine."""
SECONDS = 5.0
REAL = [case for case in cases() if any(flow.real for flow in case.flows)]
OPTIONS = ("--workers", "1", "--no-endpoints", "reject", "--cluster-cidr", ",".join(POD_NETWORKS))
OUTSIDE = ("172.30.77.9/24", "172.30.77.101/24", "172.30.77.102/24", "fd77:2::101/64")


@dataclass(frozen=True)
class World:
    """The hosts by the name that flows use for them."""

    homes: dict[str, Namespace]
    agent: Agent


@pytest.fixture(scope="module", params=["redirect-nft", "route"])
def world(request: pytest.FixtureRequest) -> Iterator[World]:
    with ExitStack() as stack:
        net = stack.enter_context(node_with_pods(pods=2, outside=True))
        assert net.outside is not None
        for address in OUTSIDE:
            net.outside.run(
                "ip", "address", "add", address, "dev", "outside0", *(["nodad"] * (":" in address))
            )
        places = {"local1": net.pods[1], "remote1": net.outside}
        for place, home in places.items():
            names = {name: (address, ENDPOINT_PORT) for name, (address, _) in ENDPOINTS.items()}
            here = {name: at for name, at in names.items() if name[:5] == place[:5] and name != "local2"}
            if place == "remote1":
                here["remote1:8081"] = (ENDPOINTS["remote1"][0], 8081)
            child = stack.enter_context(
                contextlib.closing(Child(home, "tests.conformance.answering", json.dumps(here)))
            )
            assert child.answer() == "ready"
        cluster = stack.enter_context(contextlib.closing(Cluster(net.node)))
        fill(cluster)
        agent = stack.enter_context(started(net.node, cluster.url, "--capture", request.param, *OPTIONS))
        until(lambda: len(agent.status()["services"]) == served(), 20)
        homes = {"pod": net.pod, "local1": net.pods[1], "node": net.node, "localhost": net.node}
        yield World(homes | {"outside": net.outside, "outside-other": net.outside}, agent)


def fill(cluster: Cluster) -> None:
    """Put the Node and every case that has something real to show."""
    item: dict[str, Any] = node(NODE_NAME, zone=ZONE)
    addresses = [SOURCES["node"], SOURCES["node-6"]]
    item["status"] = {"addresses": [{"type": "InternalIP", "address": one} for one in addresses]}
    cluster.put("nodes", item)
    for case in REAL:
        cluster.put("services", case.service)
        for one in case.slices:
            cluster.put("endpointslices", one)


def served() -> int:
    """How many Services of the cases the agent takes: all that have something real to show."""
    return len(REAL)


@pytest.mark.parametrize("case", REAL, ids=str)
def test_flows(world: World, case: Case) -> None:
    for flow in case.flows:
        if flow.real:
            assert outcome(world, flow) == flow.gives, flow


def outcome(world: World, flow: Flow) -> tuple[str, ...] | str:
    """Return the endpoints that answered, `drop` or `reject`."""
    home = world.homes[flow.source.removesuffix("-6")]
    wanted = len(flow.gives) * 2 if isinstance(flow.gives, tuple) else 1
    answers = {once(home, flow) for _ in range(wanted)}
    if len(answers) == 1 and answers <= {"drop", "reject"}:
        return answers.pop()
    return tuple(sorted(answers))


def once(home: Namespace, flow: Flow) -> str:
    """Ask once; return the name that answers, `drop` or `reject`."""
    family = socket.AF_INET6 if ":" in flow.address else socket.AF_INET
    kind = socket.SOCK_DGRAM if flow.protocol == "UDP" else socket.SOCK_STREAM
    with home.entered(), socket.socket(family, kind) as sock:
        if flow.source == "outside-other":
            sock.bind((SOURCES[flow.source], 0))
        sock.settimeout(SILENCE if flow.gives == "drop" else SECONDS)
        try:
            sock.connect((flow.address, flow.port))
            if flow.protocol == "UDP":
                sock.send(b"who\n")
            return sock.recv(100).decode().strip()
        except TimeoutError:
            return "drop"
        except OSError as error:
            return "reject" if error.errno == errno.ECONNREFUSED else str(error)
