"""From the API server's objects to model values: the rules, not the field names (those are in `kube.wire`).

Owns kube-proxy's filters and defaults for one object (reference rows 1.1.x, 1.2.4 and 1.3.1-1.3.6) and the check of every
address and port. A part that cannot be used is left out and named in a warning; an object that cannot be used at all raises
DecodeError. Merging objects is `core.table`'s.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import partial
from sys import intern
from typing import Generic, TypeVar

import msgspec

from userproxy.api_objects import (
    EndpointSlice,
    KubeObject,
    Node,
    Service,
    ServiceSpecPort,
    SlicePort,
)
from userproxy.core.annotations import PREFIX
from userproxy.errors import DecodeError
from userproxy.kube import wire
from userproxy.kube.addresses import quoted, usable_address
from userproxy.kube.reach import affinity_seconds, reach_of
from userproxy.model import Endpoint, Family, ServiceName

PROXY_NAME_LABEL = "service.kubernetes.io/service-proxy-name"
AUTOSCALER_TAINT = "ToBeDeletedByClusterAutoscaler"
MOST_WARNINGS = 5

STORED = frozenset({"ADDED", "MODIFIED"})
"""Types of events after which the object is as they say."""

T = TypeVar("T")

_FAMILIES = {"IPv4": Family.IPV4, "IPv6": Family.IPV6}
_NO_CONDITIONS = wire.Conditions()
_NO_SLICE_LABELS = wire.SliceLabels()
_NO_HINTS: tuple[tuple[str, ...], tuple[str, ...]] = ((), ())


class Decoded(msgspec.Struct, frozen=True, gc=False):
    """What one object of the API server means to us.

    `value` is None when the object is not for us (headless, ExternalName, another proxy's, ...): it counts as absent, also
    when it was present before. `warnings` name parts that were left out, one line each. `version` is the object's
    resourceVersion.
    """

    key: ServiceName
    version: str
    value: KubeObject | None
    warnings: tuple[str, ...] = ()


class Decoding(Generic[T]):
    """How the objects of one resource are decoded. `shape` is their JSON, `meaning` raises DecodeError."""

    def __init__(self, shape: wire.Shape[T], meaning: Callable[[T], Decoded]) -> None:
        self._shape = shape
        self._meaning = meaning

    def decode(self, data: bytes | msgspec.Raw) -> Decoded:
        """Decode an object; raise DecodeError."""
        return self._meaning(self._shape.parse(data))

    def decode_event(self, line: bytes) -> Decoded | None:
        """Decode the object of an event that says it was added or modified; None for any other line, and for a bad object."""
        event = self._shape.event(line)
        if event is None or event.type not in STORED:
            return None
        try:
            return self._meaning(event.object)
        except DecodeError:
            return None


def services_for(proxy_name: str = "") -> Decoding[wire.ServiceWire]:
    """Return the decoding of Services.

    `proxy_name` is the value of the label service-proxy-name that is ours; empty: only Services without that label are. The
    server is asked to filter too, but not every server does.
    """
    return Decoding(wire.SERVICE, partial(_service, proxy_name=proxy_name))


def nodes_for(own_name: str) -> Decoding[wire.NodeWire]:
    """Return the decoding of Nodes; any other than `own_name` counts as absent."""
    return Decoding(wire.NODE, partial(_node, own_name=own_name))


def _service(item: wire.ServiceWire, proxy_name: str) -> Decoded:
    key = _key("Service", item.metadata)
    version = item.metadata.version
    spec = item.spec
    labels = item.metadata.labels or {}
    asked_for = labels.get(PROXY_NAME_LABEL)
    if asked_for != (proxy_name or None):
        return Decoded(key, version, None)
    if spec.cluster_ip in (None, "", "None") or spec.type == "ExternalName":
        return Decoded(key, version, None)
    warnings: list[str] = []
    who = f"Service {key}"
    value = Service(
        key.namespace,
        key.name,
        tuple(_cluster_ips(spec, who, warnings)),
        tuple(_service_ports(spec, who, warnings)),
        _own_annotations(item.metadata.annotations),
        affinity_seconds=affinity_seconds(spec),
        labels=tuple(sorted((intern(label), intern(text)) for label, text in labels.items())),
        **reach_of(item, who, warnings),
    )
    return Decoded(key, version, value, _bounded(warnings, who))


def _slice(item: wire.SliceWire) -> Decoded:
    key = _key("EndpointSlice", item.metadata)
    version = item.metadata.version
    labels = item.metadata.labels or _NO_SLICE_LABELS
    if labels.headless is not None or not labels.service:
        return Decoded(key, version, None)
    family = _FAMILIES.get(item.address_type)
    if family is None:
        ignored = (
            f"EndpointSlice {key}: address type {quoted(item.address_type)} is not supported; slice ignored"
        )
        return Decoded(key, version, None, (ignored,))
    warnings: list[str] = []
    who = f"EndpointSlice {key}"
    ports = tuple(_slice_ports(item, who, warnings))
    number = ports[0].port if ports else 0
    endpoints = _slice_endpoints(item, family, number, who, warnings)
    value = EndpointSlice(key.namespace, key.name, labels.service, family, ports, endpoints)
    return Decoded(key, version, value, _bounded(warnings, who))


SLICES = Decoding(wire.SLICE, _slice)
"""the decoding of EndpointSlices"""


def _node(item: wire.NodeWire, own_name: str) -> Decoded:
    metadata = item.metadata
    if not metadata.name:
        raise DecodeError("Node without a name cannot be used: field metadata.name is empty")
    key = ServiceName("", metadata.name)
    if metadata.name != own_name:
        return Decoded(key, metadata.version, None)
    zone = (metadata.labels.zone if metadata.labels else None) or ""
    tainted = any(taint.key == AUTOSCALER_TAINT for taint in item.spec.taints or ())
    leaving = metadata.deleted_at is not None or tainted
    return Decoded(
        key, metadata.version, Node(metadata.name, zone, leaving, tuple(_node_addresses(item.status)))
    )


def _node_addresses(status: wire.NodeStatus) -> Iterator[str]:
    """Yield the addresses a Node is known by, internal ones first (row 1.7.6)."""
    for wanted in ("InternalIP", "ExternalIP"):
        for item in status.addresses or ():
            family = Family.IPV6 if ":" in item.address else Family.IPV4
            address = usable_address(item.address, family) if item.type == wanted else None
            if address is not None:
                yield address


def _key(kind: str, metadata: wire.ObjectName) -> ServiceName:
    if not metadata.name or not metadata.namespace:
        field = "name" if not metadata.name else "namespace"
        raise DecodeError(f"{kind} {quoted(metadata.name)} cannot be used: field metadata.{field} is empty")
    return ServiceName(metadata.namespace, metadata.name)


def _cluster_ips(spec: wire.ServiceSpec, who: str, warnings: list[str]) -> Iterator[str]:
    """Yield the ClusterIP of each family (row 1.2.4: by index of ipFamilies; without those clusterIP alone)."""
    if spec.families:
        done: set[str] = set()
        for name, text in zip(spec.families, spec.cluster_ips or (), strict=False):
            if name in done or name not in _FAMILIES:
                continue
            done.add(name)
            address = usable_address(text, _FAMILIES[name])
            if address is None:
                warnings.append(f"{who}: cluster IP {quoted(text)} is not a valid {name} address; skipped")
            else:
                yield address
        return
    text = spec.cluster_ip or ""
    address = usable_address(text, Family.IPV6 if ":" in text else Family.IPV4)
    if address is None:
        warnings.append(f"{who}: cluster IP {quoted(text)} is not a valid IP address; skipped")
    else:
        yield address


def _service_ports(spec: wire.ServiceSpec, who: str, warnings: list[str]) -> Iterator[ServiceSpecPort]:
    for item in spec.ports or ():
        if 0 < item.port < 65536:
            node_port = item.node_port or 0
            if not 0 <= node_port < 65536:
                warnings.append(f"{who}: node port {node_port} is not in 1..65535; node port skipped")
                node_port = 0
            yield ServiceSpecPort(item.name or "", item.protocol or "TCP", item.port, node_port)
        else:
            warnings.append(f"{who}: port {item.port} is not in 1..65535; port skipped")


def _own_annotations(annotations: dict[str, str] | None) -> tuple[tuple[str, str], ...]:
    return tuple(sorted(pair for pair in (annotations or {}).items() if pair[0].startswith(PREFIX)))


def _slice_ports(item: wire.SliceWire, who: str, warnings: list[str]) -> Iterator[SlicePort]:
    """Yield the ports with a name and a number (row 1.3.4: none of either means "no port", not "all ports")."""
    for port in item.ports or ():
        if not port.port:
            continue
        if port.name is None:
            warnings.append(
                f'{who}: port {port.port} has no name (an unnamed port has the name ""); port skipped'
            )
        elif 0 < port.port < 65536:
            yield SlicePort(port.name, port.protocol or "TCP", port.port)
        else:
            warnings.append(f"{who}: port {port.port} is not in 1..65535; port skipped")


def _slice_endpoints(
    item: wire.SliceWire, family: Family, port: int, who: str, warnings: list[str]
) -> tuple[Endpoint, ...]:
    """Return the endpoints with a usable first address (row 1.3.5; conditions by row 1.3.6)."""
    found: list[Endpoint] = []
    for endpoint in item.endpoints or ():
        if not endpoint.addresses:
            continue
        text = endpoint.addresses[0]
        address = usable_address(text, family)
        if address is None:
            what = f"endpoint address {quoted(text)} is not a valid {item.address_type} address"
            warnings.append(f"{who}: {what}; endpoint skipped")
            continue
        conditions = endpoint.conditions or _NO_CONDITIONS
        zones, nodes = _hints(endpoint.hints) if endpoint.hints is not None else _NO_HINTS
        found.append(
            Endpoint(
                address,
                port,
                conditions.ready is not False,
                conditions.serving is not False,
                conditions.terminating is True,
                endpoint.node or "",
                zones,
                nodes,
            )
        )
    return tuple(found)


def _hints(hints: wire.Hints) -> tuple[tuple[str, ...], tuple[str, ...]]:
    zones, nodes = hints.zones or (), hints.nodes or ()
    # Few zones and nodes are named by very many endpoints.
    return tuple(intern(zone.name) for zone in zones), tuple(intern(node.name) for node in nodes)


def _bounded(warnings: list[str], who: str) -> tuple[str, ...]:
    if len(warnings) <= MOST_WARNINGS:
        return tuple(warnings)
    return (*warnings[:MOST_WARNINGS], f"{who}: {len(warnings) - MOST_WARNINGS} more parts skipped")
