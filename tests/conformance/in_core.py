"""What a flow meets, found out from the plan alone: decode, table, topology, policy and plan, no socket.

Owns the following of one flow through a plan. Says nothing of sockets; `test_sockets` asks the kernel.
"""

from __future__ import annotations

import json

from tests.conformance.case import NAMES, NODE, POD_NETWORKS, SOURCES, ZONE, Case, Flow
from userproxy.api_objects import Changes
from userproxy.core.networks import contains
from userproxy.core.plan import Running, plan
from userproxy.core.plan_settings import PlanSettings
from userproxy.core.policy import Verdict
from userproxy.core.table import ServiceTable
from userproxy.kube.decode import SLICES, Decoded, services_for
from userproxy.model import Address, Frontend, FrontendKind, Host, NoEndpoints

HOST = Host(
    NODE,
    ZONE,
    ("172.30.77.2", "fd77:2::2"),
    ("10.77.0.1", "10.77.1.1", "127.0.0.1", "172.30.77.2", "::1", "fd77:2::2"),
)
SETTINGS = PlanSettings(
    "redirect", "169.254.77.1", "fd77:7573:6572::1", NoEndpoints.REJECT, pod_networks=POD_NETWORKS
)


def applied(case: Case) -> Running:
    """Return what runs when `case` is all there is."""
    table = ServiceTable()
    table.apply(_changes("services", services_for().decode(json.dumps(case.service).encode())))
    slices = [SLICES.decode(json.dumps(one).encode()) for one in case.slices]
    table.apply(_changes("endpointslices", *slices))
    running = Running()
    running.record(plan(running, table.take(), SETTINGS, HOST))
    return running


def outcome(running: Running, flow: Flow) -> tuple[str, ...] | str:
    """Return the endpoints a flow may reach, `drop`, `reject`, or `uncaptured` where the proxy has no part in it."""
    frontends = [Frontend(flow.address, flow.port, flow.protocol, kind) for kind in FrontendKind]
    owned = [frontend for frontend in frontends if frontend in running.owners]
    if not owned:
        return "uncaptured"
    [frontend] = owned
    port = running.ports[running.owners[frontend]]
    route = port.serving.route(port.frontends()[frontend].scope)
    source = SOURCES[flow.source]
    if route.verdict is not Verdict.CARRY:
        return route.verdict.value
    if not all(contains(networks, source) for networks in route.allowed):
        return "drop"
    local = route.local and not contains(route.everywhere, source)
    endpoints = port.serving.local if local else port.serving.cluster
    return tuple(sorted(named(endpoint) for endpoint in endpoints))


def named(endpoint: Address) -> str:
    """Return the name of an endpoint in the cases."""
    address, port = endpoint
    return NAMES[address] + ("" if port == 8080 else f":{port}")


def _changes(resource: str, *decoded: Decoded) -> Changes:
    return Changes(resource, tuple(one.value for one in decoded if one.value is not None), listed=True)
