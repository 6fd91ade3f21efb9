"""External addresses, policies, source ranges and affinity of a Service, as a proxy takes them."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest

from tests.kube.objects import service
from userproxy.api_objects import Service
from userproxy.kube.decode import services_for


def decoded(*, status: Any = None, **spec: Any) -> tuple[Service, tuple[str, ...]]:
    item = service("web", **spec)
    if status is not None:
        item["status"] = status
    made = services_for().decode(msgspec.json.encode(item))
    assert isinstance(made.value, Service)
    return made.value, made.warnings


def test_nothing_is_reached_from_outside_by_default() -> None:
    value, warnings = decoded()
    assert (value.external_ips, value.load_balancer_ips, value.source_ranges) == ((), (), ())
    assert not value.depends_on_host
    assert warnings == ()


def test_external_ips_of_both_families_and_bad_ones() -> None:
    value, warnings = decoded(externalIPs=["192.0.2.1", "2001:DB8::1", "192.0.2.01"])
    assert value.external_ips == ("192.0.2.1", "2001:db8::1")
    assert warnings == ('Service default/web: external IP "192.0.2.01" is not a valid IP address; skipped',)


def test_load_balancer_addresses_by_mode() -> None:
    ingress = [
        {"ip": "192.0.2.1"},
        {"ip": "192.0.2.2", "ipMode": "VIP"},
        {"ip": "192.0.2.3", "ipMode": "Proxy"},
        {"hostname": "lb.example"},
    ]
    value, _ = decoded(type="LoadBalancer", status={"loadBalancer": {"ingress": ingress}})
    assert value.load_balancer_ips == ("192.0.2.1", "192.0.2.2")
    assert decoded(status={"loadBalancer": {}})[0].load_balancer_ips == ()


def test_source_ranges_are_trimmed_and_bad_ones_named() -> None:
    value, warnings = decoded(loadBalancerSourceRanges=[" 10.1.2.3/8 ", "fd00::/8", "10.0.0.0/40"])
    assert value.source_ranges == ("10.0.0.0/8", "fd00::/8")
    assert 'loadBalancerSourceRanges: "10.0.0.0/40" is not a network' in warnings[0]


@pytest.mark.parametrize(
    ("spec", "local"),
    [
        ({"type": "NodePort"}, True),
        ({"type": "LoadBalancer"}, True),
        ({"type": "ClusterIP", "externalIPs": ["192.0.2.1"]}, True),
        ({"type": "ClusterIP"}, False),
    ],
)
def test_the_external_policy_counts_where_something_outside_can_reach_the_service(
    spec: dict[str, Any], local: bool
) -> None:
    value, _ = decoded(externalTrafficPolicy="Local", **spec)
    assert value.external_local is local


def test_the_internal_policy() -> None:
    assert decoded(internalTrafficPolicy="Local")[0].internal_local
    assert not decoded(internalTrafficPolicy="Cluster")[0].internal_local


@pytest.mark.parametrize(
    ("kind", "policy", "number", "expected"),
    [
        ("LoadBalancer", "Local", 32000, 32000),
        ("LoadBalancer", "Cluster", 32000, 0),
        ("NodePort", "Local", 32000, 0),
        ("LoadBalancer", "Local", None, 0),
        ("LoadBalancer", "Local", 70000, 0),
    ],
)
def test_row_1_9_1_the_health_check_node_port(
    kind: str, policy: str, number: int | None, expected: int
) -> None:
    value, warnings = decoded(type=kind, externalTrafficPolicy=policy, healthCheckNodePort=number)
    assert value.health_check_node_port == expected
    assert bool(warnings) == (number == 70000)


@pytest.mark.parametrize(
    ("spec", "seconds"),
    [
        ({}, 0),
        ({"sessionAffinity": "None"}, 0),
        ({"sessionAffinity": "ClientIP"}, 10800),
        ({"sessionAffinity": "ClientIP", "sessionAffinityConfig": {"clientIP": {}}}, 10800),
        ({"sessionAffinity": "ClientIP", "sessionAffinityConfig": {"clientIP": {"timeoutSeconds": 5}}}, 5),
        ({"sessionAffinity": "ClientIP", "sessionAffinityConfig": {"clientIP": {"timeoutSeconds": -5}}}, 1),
        ({"sessionAffinity": "ClientIP", "sessionAffinityConfig": {"clientIP": {"timeoutSeconds": 10**6}}}, 86400),
    ],
)  # fmt: skip
def test_rows_1_5_1_and_1_5_2_session_affinity(spec: dict[str, Any], seconds: int) -> None:
    assert decoded(**spec)[0].affinity_seconds == seconds


def test_hints_and_node_addresses_are_read() -> None:
    from userproxy.api_objects import EndpointSlice, Node
    from userproxy.kube.decode import SLICES, nodes_for

    item = {
        "metadata": {
            "name": "web-1",
            "namespace": "default",
            "labels": {"kubernetes.io/service-name": "web"},
        },
        "addressType": "IPv4",
        "endpoints": [
            {
                "addresses": ["10.0.0.1"],
                "hints": {"forZones": [{"name": "a"}, {"name": "b"}], "forNodes": [{"name": "n1"}]},
            },
            {"addresses": ["10.0.0.2"], "hints": {}},
        ],
        "ports": [{"name": "", "port": 80}],
    }
    piece = SLICES.decode(msgspec.json.encode(item)).value
    assert isinstance(piece, EndpointSlice)
    assert [(one.zones, one.nodes) for one in piece.endpoints] == [(("a", "b"), ("n1",)), ((), ())]

    addresses = [
        {"type": "ExternalIP", "address": "192.0.2.1"},
        {"type": "InternalIP", "address": "10.0.0.1"},
        {"type": "InternalIP", "address": "fd00::1"},
        {"type": "InternalIP", "address": "nonsense"},
        {"type": "Hostname", "address": "n1"},
    ]
    node = nodes_for("n1").decode(
        msgspec.json.encode({"metadata": {"name": "n1"}, "status": {"addresses": addresses}})
    )
    assert isinstance(node.value, Node)
    assert node.value.addresses == ("10.0.0.1", "fd00::1", "192.0.2.1")
