"""Short builders of API objects, with the fields a real server fills in."""

from __future__ import annotations

from typing import Any

Object = dict[str, Any]


def service(name: str, ip: str = "10.96.0.10", *, namespace: str = "default", **spec: Any) -> Object:
    """A ClusterIP Service with one unnamed port 80."""
    base = {
        "type": "ClusterIP",
        "clusterIP": ip,
        "clusterIPs": [ip],
        "ipFamilies": ["IPv6" if ":" in ip else "IPv4"],
        "ports": [{"port": 80, "protocol": "TCP", "targetPort": 8080}],
        "selector": {"app": name},
    }
    return {"metadata": {"name": name, "namespace": namespace}, "spec": base | spec}


def endpoint_slice(
    name: str, owner: str, *addresses: str, namespace: str = "default", port: int = 8080, **fields: Any
) -> Object:
    """An EndpointSlice whose endpoints are all ready."""
    return {
        "metadata": {"name": name, "namespace": namespace, "labels": {"kubernetes.io/service-name": owner}},
        "addressType": "IPv4",
        "endpoints": [
            {"addresses": [address], "conditions": {"ready": True, "serving": True, "terminating": False}}
            for address in addresses
        ]
        or None,
        "ports": [{"name": "", "protocol": "TCP", "port": port}],
        **fields,
    }


def node(name: str, zone: str = "", **spec: Any) -> Object:
    """A Node."""
    labels = {"topology.kubernetes.io/zone": zone} if zone else {}
    return {"metadata": {"name": name, "labels": labels}, "spec": spec}
