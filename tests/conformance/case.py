"""Cases of conformance: a Service with its EndpointSlices as YAML, and what a flow to it must meet.

Owns the reading of `cases/*.yaml` and the names of places. What a flow meets is found out twice: by `in_core` from the plan,
and by `test_sockets` with real sockets in network namespaces.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import yaml

FOLDER = Path(__file__).parent / "cases"
NODE = "e2e-node"
ZONE = "a"
POD_NETWORKS = ("10.77.0.0/16", "fd77:1::/32")
ENDPOINT_PORT = 8080

SOURCES = {
    "pod": "10.77.0.2",
    "pod-6": "fd77:1:100::2",
    "far-pod": "10.77.99.2",
    "local1": "10.77.1.2",
    "node": "172.30.77.2",
    "node-6": "fd77:2::2",
    "localhost": "127.0.0.1",
    "localhost-6": "::1",
    "outside": "172.30.77.1",
    "outside-other": "172.30.77.9",
    "outside-6": "fd77:2::1",
    "vip": "198.51.100.47",
}
"""Where clients are. Pods 10.77.x.2 of this node, the node, and a host beside it."""

ENDPOINTS = {
    "local1": ("10.77.1.2", NODE),
    "local2": ("10.77.1.3", NODE),
    "local1-6": ("fd77:1:101::2", NODE),
    "remote1": ("172.30.77.101", "other-node"),
    "remote2": ("172.30.77.102", "other-node"),
    "remote1-6": ("fd77:2::101", "other-node"),
}
"""Endpoints by name: address and node. The remote ones are on the host beside the node."""

NAMES = {address: name for name, (address, _) in ENDPOINTS.items()}

Object = dict[str, Any]


@dataclass(frozen=True)
class Flow:
    """A client at `source` asks `address`, `port` and `protocol`; `gives`: sorted endpoint names, or one word."""

    source: str
    address: str
    port: int
    protocol: str
    gives: tuple[str, ...] | str
    real: bool


@dataclass(frozen=True)
class Case:
    """One Service in namespace `conformance`; `rows` are those of the reference page that it shows."""

    id: str
    rows: tuple[str, ...]
    service: Object
    slices: tuple[Object, ...]
    flows: tuple[Flow, ...]

    def __str__(self) -> str:
        return f"{'+'.join(self.rows)}-{self.id}"


@cache
def cases() -> tuple[Case, ...]:
    """Return every case."""
    found = [
        _case(item) for path in sorted(FOLDER.glob("*.yaml")) for item in yaml.safe_load(path.read_text())
    ]
    assert len({case.id for case in found}) == len(found)
    return tuple(found)


def _case(item: Object) -> Case:
    name = item["id"]
    metadata = {
        "name": name,
        "namespace": "conformance",
        "labels": item.get("labels", {}),
        "annotations": item.get("annotations", {}),
    }
    ports = [{"protocol": "TCP", **port} for port in item["spec"].get("ports", [])]
    service = {
        "apiVersion": "v1",
        "kind": "Service",
        "metadata": metadata,
        "spec": {**item["spec"], "ports": ports},
        "status": {"loadBalancer": {"ingress": item.get("ingress", [])}},
    }
    slices = tuple(_slice(name, number, one) for number, one in enumerate(item["slices"]))
    return Case(name, tuple(map(str, item["rows"])), service, slices, tuple(map(_flow, item["flows"])))


def _slice(service: str, number: int, item: Object) -> Object:
    labels = {"kubernetes.io/service-name": item.get("owner", service), **item.get("labels", {})}
    ports = item.get("ports", [{"name": "", "port": ENDPOINT_PORT}])
    return {
        "apiVersion": "discovery.k8s.io/v1",
        "kind": "EndpointSlice",
        "metadata": {"name": f"{service}-{number}", "namespace": "conformance", "labels": labels},
        "addressType": item.get("addressType", "IPv4"),
        "ports": [{"name": "", "protocol": "TCP", **port} for port in ports],
        "endpoints": [_endpoint(one) for one in item["endpoints"]],
    }


def _endpoint(item: Object | str) -> Object:
    if isinstance(item, str):
        item = {"at": item}
    if "at" not in item:
        return item
    address, node = ENDPOINTS.get(item["at"], (item["at"], ""))
    conditions = {key: item[key] for key in ("ready", "serving", "terminating") if key in item}
    hints = {
        field: [{"name": name} for name in item[key]]
        for field, key in (("forZones", "zones"), ("forNodes", "nodes"))
        if key in item
    }
    return {
        "addresses": [address],
        "conditions": conditions,
        "nodeName": item.get("node", node) or None,
        "hints": hints,
    }


def _flow(item: Object) -> Flow:
    found = re.fullmatch(r"\[?(.+?)\]?:(\d+)(?:/(udp|tcp))?", item["to"])
    assert found, item
    host, port, protocol = found.groups()
    gives = item["gives"]
    return Flow(
        item["from"],
        SOURCES.get(host, host),
        int(port),
        (protocol or "tcp").upper(),
        gives if isinstance(gives, str) else tuple(sorted(gives)),
        item.get("real", False),
    )
