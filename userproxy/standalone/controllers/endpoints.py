"""The Endpoints controller's decision: the one Endpoints object of a Service with a selector, and its end with the Service.

Pure. Source: `pkg/controller/endpoint/endpoints_controller.go` (syncService, addEndpointSubset, truncateEndpoints).
"""

from __future__ import annotations

import math
from collections.abc import Iterator

from userproxy.standalone.controllers import names
from userproxy.standalone.controllers.pods import (
    addresses,
    addresses_of,
    counts,
    hostname,
    port_number,
    reference,
)
from userproxy.standalone.controllers.services import families, has_address, publishes_unready, selector_of
from userproxy.standalone.controllers.state import Settings, State, Write
from userproxy.standalone.kinds import ENDPOINTS
from userproxy.standalone.objects import Json, labels_of
from userproxy.standalone.resources.endpoints import repack
from userproxy.standalone.resources.pod import is_ready

MOST_ADDRESSES = 1000


def decide(state: State, _settings: Settings) -> list[Write]:
    """Return the write that brings the Endpoints of a Service into order, if one is needed."""
    service, current = state.service, state.endpoints
    if service is None and current is not None and (state.ended or _is_ours(current)):
        return [Write("delete", ENDPOINTS, current)]
    if service is None or selector_of(service) is None:
        return []
    subsets, truncated = _truncated(repack(_subsets(service, state.pods)))
    labels = {key: value for key, value in labels_of(service).items() if key != names.HEADLESS}
    if not has_address(service):
        labels[names.HEADLESS] = ""
    labels[names.ENDPOINTS_MANAGED_BY] = names.ENDPOINTS_CONTROLLER
    if current is not None and _holds(current, subsets, labels, truncated=truncated):
        return []
    before = current["metadata"] if current is not None else {}
    annotations = {
        key: value
        for key, value in (before.get("annotations") or {}).items()
        if key not in (names.TRIGGER_TIME, names.OVER_CAPACITY)
    }
    if state.trigger_time:
        annotations[names.TRIGGER_TIME] = state.trigger_time
    if truncated:
        annotations[names.OVER_CAPACITY] = "truncated"
    metadata: Json = {
        "name": state.name,
        "namespace": state.namespace,
        "labels": dict(sorted(labels.items())),
    }
    metadata |= {field: before[field] for field in ("uid", "resourceVersion") if field in before}
    if annotations:
        metadata["annotations"] = dict(sorted(annotations.items()))
    item: Json = {"kind": ENDPOINTS.kind, "apiVersion": ENDPOINTS.api_version, "metadata": metadata}
    if subsets:
        item["subsets"] = subsets
    return [Write("replace" if before else "create", ENDPOINTS, item)]


def _is_ours(current: Json) -> bool:
    return labels_of(current).get(names.ENDPOINTS_MANAGED_BY) == names.ENDPOINTS_CONTROLLER


def _holds(current: Json, subsets: list[Json], labels: dict[str, str], *, truncated: bool) -> bool:
    marked = (current["metadata"].get("annotations") or {}).get(names.OVER_CAPACITY) == "truncated"
    return current.get("subsets", []) == subsets and labels_of(current) == labels and marked == truncated


def _subsets(service: Json, pods: tuple[Json, ...]) -> Iterator[Json]:
    """Yield a subset for each Pod and port; repacking brings them together."""
    unready = publishes_unready(service)
    ports = service["spec"].get("ports", [])
    for pod in pods:
        address = _address(service, pod) if counts(pod, terminating=unready) else None
        if address is None:
            continue
        field = "addresses" if unready or is_ready(pod) else "notReadyAddresses"
        if not ports and service["spec"].get("clusterIP") == "None":
            yield {field: [address], "ports": []}
        for port in ports:
            number = port_number(pod, port)
            if number is not None:
                yield {field: [address], "ports": [_port(port, number)]}


def _address(service: Json, pod: Json) -> Json | None:
    """Return the address of a Pod in the first family of the Service, None when it has none."""
    known = service["spec"].get("ipFamilies") or has_address(service)
    found = addresses_of(pod, families(service)[0]) if known else addresses(pod)
    if not found:
        return None
    address: Json = {"ip": found[0]}
    name = hostname(pod, service)
    if name:
        address["hostname"] = name
    if pod["spec"].get("nodeName"):
        address["nodeName"] = pod["spec"]["nodeName"]
    address["targetRef"] = reference(pod)
    return address


def _port(port: Json, number: int) -> Json:
    entry = {"name": port.get("name", ""), "port": number, "protocol": port.get("protocol", "TCP")}
    if port.get("appProtocol"):
        entry["appProtocol"] = port["appProtocol"]
    if not entry["name"]:
        del entry["name"]
    return entry


def _truncated(subsets: list[Json]) -> tuple[list[Json], bool]:
    """Return subsets of at most 1000 addresses, ready ones first, shared out in proportion; and whether any was left out."""
    ready = sum(len(subset.get("addresses", [])) for subset in subsets)
    unready = sum(len(subset.get("notReadyAddresses", [])) for subset in subsets)
    if ready + unready <= MOST_ADDRESSES:
        return subsets, False
    field, total, room = "notReadyAddresses", unready, MOST_ADDRESSES - ready
    if ready > MOST_ADDRESSES:
        field, total, room = "addresses", ready, MOST_ADDRESSES
    left = room
    result = []
    for subset in subsets:
        listed = subset.get(field, [])
        share = min(left, math.ceil(len(listed) / total * room))
        left -= min(share, len(listed))
        kept = {**subset, field: listed[:share]}
        if field == "addresses":
            kept.pop("notReadyAddresses", None)
        result.append({name: value for name, value in kept.items() if value})
    # a real server refuses subsets without any address
    return [subset for subset in result if "addresses" in subset or "notReadyAddresses" in subset], True
