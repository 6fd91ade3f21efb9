"""Generated Services and EndpointSlices in the shape and size of a real API server's, and where their addresses lie.

Owns names, address ranges and JSON. The same number always gives the same object; nothing is kept.
"""

from __future__ import annotations

import hashlib
import ipaddress
import json
from collections.abc import Iterator, Sequence
from typing import Any

NODE = "benchmark-node"
SERVICE_PORT, TARGET_PORT = 80, 8080
ENDPOINT_NETWORK = "10.128.0.0/9"
"""All local addresses of the namespace, so that every endpoint of every Service really answers."""
_FIRST_CLUSTER_IP = int(ipaddress.ip_address("10.96.1.0"))
_FIRST_ENDPOINT = int(ipaddress.ip_address("10.128.0.2"))
_FIRST_FRESH = int(ipaddress.ip_address("10.192.0.2"))

Object = dict[str, Any]

SERVICES = "/api/v1/services"
SLICES = "/apis/discovery.k8s.io/v1/endpointslices"
NODES = "/api/v1/nodes"
KINDS = {
    SERVICES: ("Service", "v1"),
    SLICES: ("EndpointSlice", "discovery.k8s.io/v1"),
    NODES: ("Node", "v1"),
}

_TIME = "2026-01-01T00:00:00Z"


def cluster_ip(service: int) -> str:
    """Return the ClusterIP of a Service by its number."""
    return str(ipaddress.ip_address(_FIRST_CLUSTER_IP + service))


def first_addresses(service: int, count: int) -> list[str]:
    """Return the endpoint addresses that a Service begins with."""
    start = _FIRST_ENDPOINT + service * count
    return [str(ipaddress.ip_address(start + i)) for i in range(count)]


def fresh_addresses(count: int) -> Iterator[list[str]]:
    """Yield sets of endpoint addresses that nobody has had yet."""
    start = _FIRST_FRESH
    while True:
        yield [str(ipaddress.ip_address(start + i)) for i in range(count)]
        start += count


def service(number: int, version: int) -> Object:
    """Return a Service with one port."""
    name, address = _name(number), cluster_ip(number)
    applied = {"kind": "Service", "metadata": {"name": name}, "spec": {"selector": {"app": name}}}
    annotations = {"kubectl.kubernetes.io/last-applied-configuration": json.dumps(applied)}
    fields: Object = {
        "f:spec": {"f:selector": {}, "f:ports": {".": {}, 'k:{"port":80,"protocol":"TCP"}': {"f:port": {}}}}
    }
    return {
        "metadata": {**_metadata(name, version, "kubectl", fields), "annotations": annotations},
        "spec": {
            "ports": [{"protocol": "TCP", "port": SERVICE_PORT, "targetPort": TARGET_PORT}],
            "selector": {"app": name},
            "clusterIP": address,
            "clusterIPs": [address],
            "type": "ClusterIP",
            "sessionAffinity": "None",
            "ipFamilies": ["IPv4"],
            "ipFamilyPolicy": "SingleStack",
            "internalTrafficPolicy": "Cluster",
        },
        "status": {"loadBalancer": {}},
    }


def endpoint_slice(number: int, addresses: Sequence[str], version: int) -> Object:
    """Return the one EndpointSlice of a Service."""
    owner = _name(number)
    fields: Object = {
        "f:addressType": {},
        "f:endpoints": {},
        "f:ports": {},
        "f:metadata": {"f:labels": {".": {}}},
    }
    metadata = _metadata(
        f"{owner}-{_unique('slice', number)[:5]}", version, "kube-controller-manager", fields
    )
    metadata["labels"]["kubernetes.io/service-name"] = owner
    metadata["labels"]["endpointslice.kubernetes.io/managed-by"] = "endpointslice-controller.k8s.io"
    return {
        "metadata": metadata,
        "addressType": "IPv4",
        "endpoints": [_endpoint(owner, address) for address in addresses],
        "ports": [{"name": "", "protocol": "TCP", "port": TARGET_PORT}],
    }


def node(version: int) -> Object:
    """Return the Node that userproxy runs on."""
    return {
        "metadata": {"name": NODE, "resourceVersion": str(version), "labels": {}},
        "spec": {},
        "status": {},
    }


def _endpoint(owner: str, address: str) -> Object:
    unique = _unique(owner, address)
    pod = {"kind": "Pod", "namespace": "default", "name": f"{owner}-{unique[:10]}", "uid": _uid(unique)}
    return {
        "addresses": [address],
        "conditions": {"ready": True, "serving": True, "terminating": False},
        "targetRef": pod,
        "nodeName": f"node-{unique[:4]}",
        "zone": "zone-a",
    }


def _metadata(name: str, version: int, manager: str, fields: Object) -> Object:
    return {
        "name": name,
        "namespace": "default",
        "uid": _uid(_unique("uid", name)),
        "resourceVersion": str(version),
        "generation": 1,
        "creationTimestamp": _TIME,
        "labels": {"app": name},
        "managedFields": [
            {
                "manager": manager,
                "operation": "Update",
                "apiVersion": "v1",
                "time": _TIME,
                "fieldsType": "FieldsV1",
                "fieldsV1": fields,
            }
        ],
    }


def _name(number: int) -> str:
    return f"service-{number:05d}"


def _unique(*parts: object) -> str:
    return hashlib.md5("/".join(map(str, parts)).encode(), usedforsecurity=False).hexdigest()


def _uid(unique: str) -> str:
    return "-".join((unique[:8], unique[8:12], unique[12:16], unique[16:20], unique[20:]))
