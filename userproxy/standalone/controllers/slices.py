"""The EndpointSlice controller's decision: which slices a Service with a selector shall have, and the writes towards it.

Pure. Source: `k8s.io/endpointslice/reconciler.go`, `utils.go`. Packing and hints have modules of their own.
"""

from __future__ import annotations

import msgspec

from userproxy.standalone.controllers import names
from userproxy.standalone.controllers.drafts import Draft, Outcome, PortsKey, endpoint_key, ports_key
from userproxy.standalone.controllers.hints import set_hints
from userproxy.standalone.controllers.packing import Wanted, pack
from userproxy.standalone.controllers.pods import (
    addresses_of,
    counts,
    hostname,
    is_terminating,
    port_number,
    reference,
)
from userproxy.standalone.controllers.proportional import is_wanted, share_out
from userproxy.standalone.controllers.services import families, has_address, publishes_unready, selector_of
from userproxy.standalone.controllers.state import Settings, State, Write, controller_reference, owned_by
from userproxy.standalone.kinds import SERVICE
from userproxy.standalone.objects import Json, labels_of
from userproxy.standalone.resources.pod import is_ready


class _Group(msgspec.Struct):
    """Endpoints that share one port list."""

    ports: list[Json]
    endpoints: Wanted


def decide(state: State, settings: Settings) -> list[Write]:
    """Return the writes that bring the slices of a Service into order; none for a Service that is not ours."""
    service = state.service
    if service is None or selector_of(service) is None:
        return []
    ours = [item for item in state.slices if is_ours(item, state.name)]
    labels = slice_labels(service)
    outcome = Outcome([], [item for item in ours if item["addressType"] not in families(service)])
    for family in families(service):
        of_family = [item for item in ours if item["addressType"] == family]
        found = _family(state, settings, service, family, of_family, labels)
        if is_wanted(service):
            share_out(found.drafts, state.nodes)
        else:
            set_hints(found.drafts, service["spec"].get("trafficDistribution"))
        outcome.drafts += found.drafts
        outcome.leaving += found.leaving
    outcome.recycle([item for item in outcome.leaving if owned_by(item, service)])
    metadata: Json = {"labels": labels, "ownerReferences": [controller_reference(SERVICE, service)]}
    if state.trigger_time:
        metadata["annotations"] = {names.TRIGGER_TIME: state.trigger_time}
    writes = outcome.writes(state.namespace, state.name, metadata, keep_annotations=True)
    if service["metadata"].get("deletionTimestamp"):
        return [write for write in writes if write.action != "create"]
    return writes


def is_ours(item: Json, name: str) -> bool:
    """Return whether a slice is kept by this controller for the Service of that name, and is not on its way out."""
    labels = labels_of(item)
    kept = labels.get(names.MANAGED_BY) == names.SLICE_CONTROLLER and labels.get(names.SERVICE_NAME) == name
    return kept and not item["metadata"].get("deletionTimestamp")


def slice_labels(service: Json) -> dict[str, str]:
    """Return the labels of all slices of a Service: its own and the reserved ones."""
    labels = {key: value for key, value in labels_of(service).items() if key not in names.RESERVED}
    if not has_address(service):
        labels[names.HEADLESS] = ""
    labels[names.SERVICE_NAME] = service["metadata"]["name"]
    labels[names.MANAGED_BY] = names.SLICE_CONTROLLER
    return dict(sorted(labels.items()))


def _family(
    state: State, settings: Settings, service: Json, family: str, existing: list[Json], labels: dict[str, str]
) -> Outcome:
    outcome = Outcome([], [item for item in existing if not owned_by(item, service)])
    by_ports: dict[PortsKey, list[Json]] = {}
    for item in existing:
        if owned_by(item, service):
            by_ports.setdefault(ports_key(item["ports"]), []).append(item)
    for key, group in _groups(state, settings, service, family).items():
        most = settings.endpoints_per_slice
        found = pack(family, group.ports, group.endpoints, by_ports.pop(key, []), most, labels)
        outcome.drafts += found.drafts
        outcome.leaving += found.leaving
    for left in by_ports.values():
        outcome.leaving += left
    if not outcome.drafts:
        _keep_place(outcome, family, labels)
    return outcome


def _keep_place(outcome: Outcome, family: str, labels: dict[str, str]) -> None:
    """Have one slice without endpoints; one that is there already stays as it is."""
    if len(outcome.leaving) == 1:
        only = outcome.leaving[0]
        if not only["endpoints"] and not only["ports"] and (only["metadata"].get("labels") or {}) == labels:
            outcome.leaving.clear()
            return
    outcome.drafts.append(Draft(family, [], []))


def _groups(state: State, settings: Settings, service: Json, family: str) -> dict[PortsKey, _Group]:
    groups: dict[PortsKey, _Group] = {}
    unready = publishes_unready(service)
    for pod in state.pods:
        if not counts(pod, terminating=True):
            continue
        node = state.nodes.get(pod["spec"].get("nodeName", ""))
        if node is None and settings.require_nodes and not unready:
            continue
        ports = _ports(service, pod)
        group = groups.setdefault(ports_key(ports), _Group(ports, {}))
        endpoint = _endpoint(pod, node, service, family)
        if endpoint["addresses"]:
            group.endpoints[endpoint_key(endpoint)] = endpoint
    return {key: group for key, group in groups.items() if group.endpoints}


def _ports(service: Json, pod: Json) -> list[Json]:
    ports: list[Json] = []
    for port in service["spec"].get("ports", []):
        number = port_number(pod, port)
        if number is None:
            continue
        entry = {"name": port.get("name", ""), "protocol": port.get("protocol", "TCP"), "port": number}
        if port.get("appProtocol"):
            entry["appProtocol"] = port["appProtocol"]
        ports.append(entry)
    return ports


def _endpoint(pod: Json, node: Json | None, service: Json, family: str) -> Json:
    serving, terminating = is_ready(pod), is_terminating(pod)
    ready = publishes_unready(service) or (serving and not terminating)
    endpoint: Json = {
        "addresses": addresses_of(pod, family),
        "conditions": {"ready": ready, "serving": serving, "terminating": terminating},
    }
    name = hostname(pod, service)
    if name:
        endpoint["hostname"] = name
    endpoint["targetRef"] = reference(pod)
    if pod["spec"].get("nodeName"):
        endpoint["nodeName"] = pod["spec"]["nodeName"]
    if node is not None and labels_of(node).get(names.ZONE):
        endpoint["zone"] = labels_of(node)[names.ZONE]
    return endpoint
