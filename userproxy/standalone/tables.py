"""Objects as tables, for `kubectl get`: the columns of each kind and the text of each cell.

Owns the columns. Which objects, and whether a client wants a table, is decided elsewhere. Source:
`pkg/printers/internalversion/printers.go`.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import msgspec

from userproxy.standalone import kinds
from userproxy.standalone.kinds import Kind
from userproxy.standalone.objects import Json, parse_timestamp
from userproxy.standalone.resources.pod import is_ready
from userproxy.standalone.wire import partial

NONE, UNKNOWN, UNSET = "<none>", "<unknown>", "<unset>"
_MOST = 3

Cell = Callable[[Json, float], Any]


class Column(msgspec.Struct, frozen=True):
    """One column; `wide` ones are shown with `-o wide` only. `cell` gets the object and Unix time."""

    name: str
    cell: Cell
    description: str
    wide: bool = False
    format: str = ""

    def definition(self) -> Json:
        """Return the column as the Table describes it."""
        return {
            "name": self.name,
            "type": "string",
            "format": self.format,
            "description": self.description,
            "priority": int(self.wide),
        }


def table(kind: Kind, items: list[Json], metadata: Json, now: float, include: str, *, headed: bool) -> Json:
    """Return a Table of objects; `include` is Metadata, Object or None, as the includeObject parameter says.

    `headed`: with the definitions of the columns, which a watch sends with its first event only.
    """
    columns = COLUMNS[kind]
    rows = []
    for item in items:
        row: Json = {"cells": [column.cell(item, now) for column in columns]}
        if include == "Object":
            row["object"] = item
        elif include != "None":
            row["object"] = partial(item)
        rows.append(row)
    definitions = [column.definition() for column in columns] if headed else None
    return {
        "kind": "Table",
        "apiVersion": "meta.k8s.io/v1",
        "metadata": metadata,
        "columnDefinitions": definitions,
        "rows": rows,
    }


def duration(seconds: float) -> str:
    """Return a span of time as kubectl shows ages: the larger units only (apimachinery `duration.HumanDuration`)."""
    if seconds < -1:
        return "<invalid>"
    whole = max(0, int(seconds))
    minutes, hours, days = whole // 60, whole // 3600, whole // 86400
    if whole < 120:
        return f"{whole}s"
    if minutes < 10:
        return f"{minutes}m{whole % 60}s" if whole % 60 else f"{minutes}m"
    if minutes < 180:
        return f"{minutes}m"
    if hours < 8:
        return f"{hours}h{minutes % 60}m" if minutes % 60 else f"{hours}h"
    if hours < 48:
        return f"{hours}h"
    if days < 8:
        return f"{days}d{hours % 24}h" if hours % 24 else f"{days}d"
    if days < 365 * 2:
        return f"{days}d"
    years = days // 365
    return f"{years}y{days % 365}d" if years < 8 and days % 365 else f"{years}y"


def _since(text: str | None, now: float) -> str:
    try:
        return duration(now - parse_timestamp(text)) if text else UNKNOWN
    except ValueError:
        return UNKNOWN


def _name(item: Json, _now: float) -> str:
    return str(item["metadata"].get("name", ""))


def _age(item: Json, now: float) -> str:
    return _since(item["metadata"].get("creationTimestamp"), now)


def _listed(texts: list[str], most: int = _MOST, empty: str = NONE) -> str:
    if not texts:
        return empty
    more = len(texts) - most
    return ",".join(texts[:most]) + (f" + {more} more..." if more > 0 else "")


def _joined(pairs: dict[str, str] | None) -> str:
    return ",".join(f"{key}={value}" for key, value in (pairs or {}).items()) or NONE


# ---- cells -------------------------------------------------------------------------------------------------------


def _service_address(item: Json, _now: float) -> str:
    return str(item["spec"].get("clusterIP") or NONE)


def _service_outside(item: Json, _now: float) -> str:
    spec = item["spec"]
    outside: list[str] = list(spec.get("externalIPs", []))
    match spec.get("type"):
        case "LoadBalancer":
            ingress = item["status"]["loadBalancer"].get("ingress", [])
            found = [entry.get("ip") or entry.get("hostname", "") for entry in ingress]
            return ",".join(found + outside) or "<pending>"
        case "ExternalName":
            return str(spec.get("externalName", ""))
        case "ClusterIP" | "NodePort":
            return ",".join(outside) or NONE
    return UNKNOWN


def _service_ports(item: Json, _now: float) -> str:
    shown = []
    for port in item["spec"].get("ports", []):
        node_port = f":{port['nodePort']}" if port.get("nodePort") else ""
        shown.append(f"{port['port']}{node_port}/{port['protocol']}")
    return ",".join(shown) or NONE


def _slice_ports(item: Json, _now: float) -> str:
    shown = [str(port["port"]) if port.get("port") is not None else "*" for port in item["ports"] or []]
    return _listed(shown, empty=UNSET)


def _slice_endpoints(item: Json, _now: float) -> str:
    found = [address for endpoint in item["endpoints"] or [] for address in endpoint["addresses"] or []]
    return _listed(found, empty=UNSET)


def _endpoints(item: Json, _now: float) -> str:
    shown = []
    for subset in item.get("subsets", []):
        addresses = [address["ip"] for address in subset.get("addresses", [])]
        for port in subset.get("ports", []) or [None]:
            suffix = f":{port['port']}" if port else ""
            shown += [(f"[{ip}]" if ":" in ip and suffix else ip) + suffix for ip in addresses]
    return _listed(shown)


def _pod_ready(item: Json, _now: float) -> str:
    total = len(item["spec"].get("containers") or [])
    return f"{total if is_ready(item) else 0}/{total}"


def _pod_status(item: Json, _now: float) -> str:
    if item["metadata"].get("deletionTimestamp"):
        return "Terminating"
    return str(item["status"].get("reason") or item["status"].get("phase", ""))


def _pod_restarts(item: Json, _now: float) -> str:
    return str(sum(state.get("restartCount", 0) for state in item["status"].get("containerStatuses", [])))


def _pod_gates(item: Json, _now: float) -> str:
    gates = item["spec"].get("readinessGates", [])
    return f"0/{len(gates)}" if gates else NONE


def _node_status(item: Json, _now: float) -> str:
    ready = {c["type"]: c["status"] for c in item["status"].get("conditions", [])}.get("Ready")
    status = {"True": "Ready", None: "Unknown"}.get(ready, "NotReady")
    return f"{status},SchedulingDisabled" if item["spec"].get("unschedulable") else status


def _node_roles(item: Json, _now: float) -> str:
    prefix = "node-role.kubernetes.io/"
    return (
        ",".join(
            key.removeprefix(prefix) for key in item["metadata"].get("labels", {}) if key.startswith(prefix)
        )
        or NONE
    )


def _node_address(kind: str) -> Cell:
    def cell(item: Json, _now: float) -> str:
        found = [each["address"] for each in item["status"].get("addresses", []) if each["type"] == kind]
        return found[0] if found else NONE

    return cell


def _node_info(field: str) -> Cell:
    return _at("status", "nodeInfo", field, empty=UNKNOWN)


def _node_kernel(item: Json, _now: float) -> str:
    info = item["status"]["nodeInfo"]
    architecture = f" ({info['architecture']})" if info.get("architecture") else ""
    return f"{info['kernelVersion']}{architecture}" if info.get("kernelVersion") else UNKNOWN


def _event_object(item: Json, _now: float) -> str:
    about = item["involvedObject"]
    return f"{about.get('kind', '').lower()}/{about.get('name', '')}"


def _event_source(item: Json, _now: float) -> str:
    source = item["source"]
    parts = [source.get("component") or item.get("reportingComponent", ""), source.get("host", "")]
    return ", ".join(part for part in parts if part)


def _event_time(*fields: str) -> Cell:
    def cell(item: Json, now: float) -> str:
        return _since(next((item[field] for field in fields if item.get(field)), None), now)

    return cell


def _at(*path: str, empty: str = "") -> Cell:
    """Return a cell that shows the value at a path."""

    def cell(item: Json, _now: float) -> str:
        value: Any = item
        for part in path:
            value = value.get(part) if isinstance(value, dict) else None
        return empty if value in (None, "") else str(value)

    return cell


# ---- columns -----------------------------------------------------------------------------------------------------

_NAME = Column("Name", _name, "Name of the object, unique within its namespace.", format="name")
_AGE = Column("Age", _age, "Time since the object was made.")

COLUMNS: dict[Kind, tuple[Column, ...]] = {
    kinds.NAMESPACE: (_NAME, Column("Status", _at("status", "phase"), "Active or Terminating."), _AGE),
    kinds.NODE: (
        _NAME,
        Column("Status", _node_status, "Whether the node is ready."),
        Column("Roles", _node_roles, "The roles of the node."),
        _AGE,
        Column("Version", _at("status", "nodeInfo", "kubeletVersion"), "Version of the kubelet."),
        Column("Internal-IP", _node_address("InternalIP"), "Address within the cluster.", wide=True),
        Column("External-IP", _node_address("ExternalIP"), "Address from outside.", wide=True),
        Column("OS-Image", _node_info("osImage"), "Operating system.", wide=True),
        Column("Kernel-Version", _node_kernel, "Kernel.", wide=True),
        Column("Container-Runtime", _node_info("containerRuntimeVersion"), "Container runtime.", wide=True),
    ),
    kinds.POD: (
        _NAME,
        Column("Ready", _pod_ready, "Containers that are ready, of all."),
        Column("Status", _pod_status, "Phase of the Pod."),
        Column("Restarts", _pod_restarts, "How often containers were restarted."),
        _AGE,
        Column("IP", _at("status", "podIP", empty=NONE), "Address of the Pod.", wide=True),
        Column("Node", _at("spec", "nodeName", empty=NONE), "Node of the Pod.", wide=True),
        Column("Nominated Node", _at("status", "nominatedNodeName", empty=NONE), "Node to come.", wide=True),
        Column("Readiness Gates", _pod_gates, "Conditions from outside.", wide=True),
    ),
    kinds.SERVICE: (
        _NAME,
        Column("Type", _at("spec", "type"), "How the Service is exposed."),
        Column("Cluster-IP", _service_address, "Address of the Service."),
        Column("External-IP", _service_outside, "Addresses from outside."),
        Column("Port(s)", _service_ports, "Ports of the Service."),
        _AGE,
        Column(
            "Selector",
            lambda item, _now: _joined(item["spec"].get("selector")),
            "Labels of its Pods.",
            wide=True,
        ),
    ),
    kinds.ENDPOINTS: (_NAME, Column("Endpoints", _endpoints, "Addresses and ports that are ready."), _AGE),
    kinds.ENDPOINT_SLICE: (
        _NAME,
        Column("AddressType", _at("addressType"), "Family of the addresses."),
        Column("Ports", _slice_ports, "Ports of the endpoints."),
        Column("Endpoints", _slice_endpoints, "Addresses of the endpoints."),
        _AGE,
    ),
    kinds.EVENT: (
        Column(
            "Last Seen", _event_time("lastTimestamp", "eventTime", "firstTimestamp"), "When it last occurred."
        ),
        Column("Type", _at("type"), "Normal or Warning."),
        Column("Reason", _at("reason"), "The reason in one word."),
        Column("Object", _event_object, "What it is about."),
        Column("Subobject", _at("involvedObject", "fieldPath"), "Part of the object.", wide=True),
        Column("Source", _event_source, "Who says so.", wide=True),
        Column("Message", lambda item, _now: item.get("message", "").strip(), "What happened."),
        Column(
            "First Seen", _event_time("firstTimestamp", "eventTime"), "When it first occurred.", wide=True
        ),
        Column("Count", lambda item, _now: item.get("count", 1), "How often it occurred.", wide=True),
        msgspec.structs.replace(_NAME, wide=True),
    ),
    kinds.LEASE: (_NAME, Column("Holder", _at("spec", "holderIdentity"), "Who holds the lease."), _AGE),
    kinds.SERVICE_CIDR: (
        _NAME,
        Column("CIDRs", lambda item, _now: ",".join(item["spec"].get("cidrs", [])), "Ranges of cluster IPs."),
        _AGE,
    ),
}
"""Columns of each kind, in the order of the wire."""
