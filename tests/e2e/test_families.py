"""Hosts with IPv4 only and with IPv6 only serve the families they have; tests/conformance runs on one with both."""

from __future__ import annotations

import contextlib
import json
import sys
from contextlib import ExitStack

import pytest

from tests.e2e.agent import started
from tests.e2e.child import ROOT, Child
from tests.e2e.cluster import Cluster, endpoint
from tests.e2e.scene import needs_all
from tests.e2e.waiting import until
from tests.kube.objects import endpoint_slice, service
from tests.netns import Namespace, namespace

pytestmark = needs_all

SERVICE = ("10.96.5.5", "fd96::55")
ENDPOINTS = {"four": ("10.5.5.5", 8080), "six": ("fd05::5", 8080)}
NODE_PORT = 30055


def host(home: Namespace, families: str) -> None:
    """Give the host addresses of the endpoints' own families, and no way to have others."""
    if families == "four":
        home.set("net/ipv6/conf/all/disable_ipv6", "1")
    if "four" in families:
        home.run("ip", "address", "add", "10.5.5.5/24", "dev", "lo")
    if "six" in families:
        home.run("ip", "address", "add", "fd05::5/64", "dev", "lo", "nodad")


def ask(home: Namespace, address: str, port: int) -> str:
    """Return which endpoint answers a client on the host, or that none does."""
    program = (sys.executable, str(ROOT / "tests/e2e/client.py"), address, str(port), "1")
    answer = home.run(*program, check=False)
    return next(iter(json.loads(answer)), "") if answer else "nobody"


@pytest.mark.parametrize("capture", ["redirect-nft", "route"])
@pytest.mark.parametrize("families", ["four", "six"])
def test_each_host_serves_what_it_has(families: str, capture: str) -> None:
    with ExitStack() as stack:
        home = stack.enter_context(namespace("host"))
        host(home, families)
        own = {name: at for name, at in ENDPOINTS.items() if name in families}
        child = Child(home, "tests.conformance.answering", json.dumps(own))
        stack.enter_context(contextlib.closing(child))
        assert child.answer() == "ready"
        cluster = stack.enter_context(contextlib.closing(Cluster(home)))
        ports = [{"port": 80, "protocol": "TCP", "nodePort": NODE_PORT}]
        both = {"clusterIPs": list(SERVICE), "ipFamilies": ["IPv4", "IPv6"], "type": "NodePort"}
        cluster.put("services", service("web", SERVICE[0], ports=ports, **both))
        for family, (address, _) in zip(("IPv4", "IPv6"), ENDPOINTS.values(), strict=True):
            item = endpoint_slice(f"web-{family.lower()}", "web", endpoints=[endpoint(address)])
            cluster.put("endpointslices", item | {"addressType": family})
        options = ("--workers", "1", "--capture", capture)
        agent = stack.enter_context(started(home, cluster.url, *options))
        until(lambda: bool(agent.status()["services"]))
        for name, address, loopback in (("four", SERVICE[0], "127.0.0.1"), ("six", SERVICE[1], "::1")):
            expected = name if name in families else "nobody"
            assert ask(home, address, 80) == expected
            assert ask(home, ENDPOINTS[name][0], NODE_PORT) == expected
            # An IPv6-only host still has 127.0.0.1, but no endpoint of that family is reachable from it.
            if name in families:
                assert ask(home, loopback, NODE_PORT) == expected
