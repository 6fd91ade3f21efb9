"""From API objects to model values: filters, defaults, checks of addresses and ports, and named warnings."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import pytest

from tests.kube.objects import Object, node, service
from tests.kube.transcripts import recorded
from userproxy.api_objects import (
    EndpointSlice,
    KubeObject,
    Node,
    Service,
    ServiceSpecPort,
    SlicePort,
)
from userproxy.errors import DecodeError
from userproxy.kube.decode import SLICES, Decoded, nodes_for, services_for
from userproxy.model import Endpoint, Family, ServiceName


def of_service(item: Object, proxy_name: str = "") -> Decoded:
    return services_for(proxy_name).decode(json.dumps(item).encode())


def of_slice(item: Object) -> Decoded:
    return SLICES.decode(json.dumps(item).encode())


def of_node(item: Object, own_name: str = "n1") -> Decoded:
    return nodes_for(own_name).decode(json.dumps(item).encode())


def made_service(**spec: Any) -> Service:
    value = of_service(service("web", "10.96.0.1", **spec)).value
    assert isinstance(value, Service)
    return value


# ---- Services ----------------------------------------------------------------------------------------------------


def test_plain_service() -> None:
    decoded = of_service(service("web", "10.96.0.1"))
    value = Service("default", "web", ("10.96.0.1",), (ServiceSpecPort("", "TCP", 80),))
    assert decoded == Decoded(ServiceName("default", "web"), "", value)


@pytest.mark.parametrize(
    "spec",
    [
        {"clusterIP": "None", "clusterIPs": ["None"]},
        {"clusterIP": "", "clusterIPs": None},
        {"clusterIP": None},
        {"type": "ExternalName", "externalName": "db.example.com"},
        {"type": "ExternalName", "clusterIP": ""},
    ],
)
def test_service_that_is_not_proxied(spec: Object) -> None:
    decoded = of_service(service("web", "10.96.0.1", **spec))
    assert decoded == Decoded(ServiceName("default", "web"), "", None)


@pytest.mark.parametrize(
    ("labels", "ours", "taken"),
    [
        (None, "", True),
        ({"app": "x"}, "", True),
        ({"service.kubernetes.io/service-proxy-name": "other"}, "", False),
        ({"service.kubernetes.io/service-proxy-name": ""}, "", False),
        (None, "userproxy", False),
        ({"service.kubernetes.io/service-proxy-name": "other"}, "userproxy", False),
        ({"service.kubernetes.io/service-proxy-name": "userproxy"}, "userproxy", True),
    ],
)
def test_service_proxy_name(labels: Object | None, ours: str, taken: bool) -> None:
    item = service("web", "10.96.0.1")
    item["metadata"]["labels"] = labels
    assert (of_service(item, ours).value is not None) == taken


@pytest.mark.parametrize(
    ("spec", "expected"),
    [
        ({"clusterIPs": ["10.96.0.1", "fd00::1"], "ipFamilies": ["IPv4", "IPv6"]}, ("10.96.0.1", "fd00::1")),
        (
            {"clusterIPs": ["fd00:0::1", "10.96.0.1"], "ipFamilies": ["IPv6", "IPv4"]},
            ("fd00::1", "10.96.0.1"),
        ),
        ({"clusterIPs": ["10.96.0.1"], "ipFamilies": ["IPv4", "IPv6"]}, ("10.96.0.1",)),
        ({"clusterIPs": ["10.96.0.1", "fd00::1"], "ipFamilies": ["IPv4"]}, ("10.96.0.1",)),
        ({"clusterIPs": ["10.96.0.1", "10.96.0.2"], "ipFamilies": ["IPv4", "IPv4"]}, ("10.96.0.1",)),
        ({"clusterIPs": None, "ipFamilies": None}, ("10.96.0.1",)),
        ({"clusterIP": "fd00::0:1", "clusterIPs": None, "ipFamilies": []}, ("fd00::1",)),
        ({"clusterIPs": None, "ipFamilies": ["IPv4"]}, ()),
        ({"clusterIPs": ["10.96.0.1"], "ipFamilies": ["IPv5"]}, ()),
    ],
)
def test_cluster_ips_by_family(spec: Object, expected: tuple[str, ...]) -> None:
    assert made_service(**spec).cluster_ips == expected


def test_bad_cluster_ip_is_skipped_and_named() -> None:
    spec: Object = {"clusterIPs": ["10.96.0.01", "fd00::1"], "ipFamilies": ["IPv4", "IPv6"]}
    decoded = of_service(service("web", "10.96.0.01", **spec))
    assert isinstance(decoded.value, Service)
    assert decoded.value.cluster_ips == ("fd00::1",)
    assert decoded.warnings == (
        'Service default/web: cluster IP "10.96.0.01" is not a valid IPv4 address; skipped',
    )


def test_bad_cluster_ip_without_families() -> None:
    decoded = of_service(service("web", "10.96.0.1\nforged", clusterIPs=None, ipFamilies=None))
    assert decoded.warnings == (
        'Service default/web: cluster IP "10.96.0.1\\nforged" is not a valid IP address; skipped',
    )


def test_service_ports() -> None:
    ports = [
        {"name": "http", "port": 80, "protocol": "TCP", "nodePort": 30080},
        {"port": 81},
        {"name": "dns", "port": 53, "protocol": "UDP"},
        {"name": "zero", "port": 0},
        {"name": "big", "port": 65536},
        {"name": "node", "port": 82, "nodePort": 65536},
        {"name": "last", "port": 65535, "protocol": None},
    ]
    decoded = of_service(service("web", "10.96.0.1", ports=ports))
    assert isinstance(decoded.value, Service)
    assert decoded.value.ports == (
        ServiceSpecPort("http", "TCP", 80, 30080),
        ServiceSpecPort("", "TCP", 81),
        ServiceSpecPort("dns", "UDP", 53),
        ServiceSpecPort("node", "TCP", 82),
        ServiceSpecPort("last", "TCP", 65535),
    )
    assert decoded.warnings == (
        "Service default/web: port 0 is not in 1..65535; port skipped",
        "Service default/web: port 65536 is not in 1..65535; port skipped",
        "Service default/web: node port 65536 is not in 1..65535; node port skipped",
    )
    assert made_service(ports=None).ports == ()


def test_own_annotations_are_kept_sorted() -> None:
    item = service("web", "10.96.0.1")
    item["metadata"]["annotations"] = {
        "userproxy.dev/z": "1",
        "other/x": "2",
        "userproxy.dev/no-endpoints": "reject",
    }
    value = of_service(item).value
    assert isinstance(value, Service)
    assert value.annotations == (("userproxy.dev/no-endpoints", "reject"), ("userproxy.dev/z", "1"))


# ---- addresses -------------------------------------------------------------------------------------------------


# ---- Nodes -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("item", "expected"),
    [
        (node("n1"), Node("n1")),
        (node("n1", "zone-a"), Node("n1", "zone-a")),
        (node("n1", taints=[{"key": "ToBeDeletedByClusterAutoscaler"}]), Node("n1", "", leaving=True)),
        (node("n1", taints=[{"key": "node.kubernetes.io/unschedulable"}]), Node("n1")),
        (
            {"metadata": {"name": "n1", "deletionTimestamp": "2026-11-23T05:03:44Z"}},
            Node("n1", "", leaving=True),
        ),
        (node("n2", "zone-a"), None),
    ],
)
def test_node(item: Object, expected: Node | None) -> None:
    assert of_node(item).value == expected


# ---- what cannot be read -----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("item", "message"),
    [
        (
            service("web", "10.96.0.1", ports=[{"port": "80"}]),
            "Service default/web cannot be read: field spec.ports[0].port: Expected int, got str",
        ),
        (
            service("web", "10.96.0.1", ports=[{"name": "x"}]),
            "Service default/web cannot be read: field spec.ports[0]: Object missing required field port",
        ),
        (
            service("web", "10.96.0.1", ports=[{"port": 10**30}]),
            "Service default/web cannot be read: field spec.ports[0].port: ",
        ),
        (
            {"metadata": {"name": 7}},
            "Service without a readable name cannot be read: field metadata.name: Expected str, got int",
        ),
        (
            {"spec": {}},
            "Service without a readable name cannot be read: Object missing required field metadata",
        ),
        ({"metadata": {"namespace": "default"}}, 'Service "" cannot be used: field metadata.name is empty'),
        ({"metadata": {"name": "web"}}, 'Service "web" cannot be used: field metadata.namespace is empty'),
    ],
)
def test_unreadable_service_is_named(item: Object, message: str) -> None:
    with pytest.raises(DecodeError) as caught:
        of_service(item)
    assert str(caught.value).startswith(message)


@pytest.mark.parametrize(
    "data", [b"", b"{", b"null", b"[]", b'"text"', b"\xff\xfe", b"[" * 100_000, b'{"metadata":' * 50_000]
)
def test_hostile_bytes_give_a_decode_error(data: bytes) -> None:
    with pytest.raises(DecodeError):
        SLICES.decode(data)
    with pytest.raises(DecodeError):
        services_for().decode(data)
    with pytest.raises(DecodeError):
        nodes_for("n1").decode(data)


def test_unreadable_node_without_name() -> None:
    with pytest.raises(DecodeError, match=r"metadata\.name is empty"):
        of_node({"metadata": {}})


# ---- what a real server says -------------------------------------------------------------------------------------


DECODERS: dict[str, Callable[[Object], Decoded]] = {
    "services": of_service,
    "endpointslices": of_slice,
    "nodes": lambda item: of_node(item, "node8"),
}


def real(resource: str) -> dict[str, KubeObject | None]:
    found = [DECODERS[resource](item) for item in recorded("lists")[resource]["items"]]
    assert all(one.version.isdigit() and not one.warnings for one in found)
    return {one.key.name: one.value for one in found}


def test_real_services() -> None:
    found = real("services")
    assert found["kubernetes"] == Service(
        "default",
        "kubernetes",
        ("10.96.0.1",),
        (ServiceSpecPort("https", "TCP", 443),),
        labels=(("component", "apiserver"), ("provider", "kubernetes"), ("round", "1")),
    )
    assert found["my-service"] == Service(
        "default", "my-service", ("10.96.163.26",), (ServiceSpecPort("", "TCP", 80),)
    )
    assert found["shop-nodeport"] == Service(
        "default",
        "shop-nodeport",
        ("10.96.125.174",),
        (ServiceSpecPort("http", "TCP", 80, 30320), ServiceSpecPort("dns", "UDP", 53, 32490)),
        labels=(("app", "shop"), ("tier", "front")),
    )
    assert (found["shop-external"], found["shop-headless"]) == (None, None)


def test_real_slices() -> None:
    found = real("endpointslices")
    assert found["kubernetes"] == EndpointSlice(
        "default",
        "kubernetes",
        "kubernetes",
        Family.IPV4,
        (SlicePort("https", "TCP", 6443),),
        (Endpoint("192.168.0.10", 6443),),
    )
    mine = found["my-service-qljgf"]
    assert isinstance(mine, EndpointSlice)
    assert (mine.service, mine.ports) == ("my-service", (SlicePort("", "TCP", 80),))
    assert {one.node for one in mine.endpoints} <= {"node8", "node10"}
    assert mine.endpoints
    assert found["shop-headless-hfvnp"] is None


def test_real_nodes() -> None:
    assert real("nodes") == {"node8": Node("node8", addresses=("192.168.0.18",)), "node10": None}
