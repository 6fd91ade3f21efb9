"""The mirroring controller's decision: EndpointSlices that say what hand-made Endpoints of a Service without selector say.

Pure. Source: `pkg/controller/endpointslicemirroring/` (syncEndpoints, shouldMirror, reconcile, addressToEndpoint).
"""

from __future__ import annotations

from userproxy.standalone.controllers import names
from userproxy.standalone.controllers.drafts import Draft, Outcome, PortsKey, endpoint_key, ports_key
from userproxy.standalone.controllers.pods import family_of
from userproxy.standalone.controllers.state import Settings, State, Write, controller_reference
from userproxy.standalone.kinds import ENDPOINT_SLICE, ENDPOINTS
from userproxy.standalone.objects import Json, labels_of
from userproxy.standalone.recording import Notice
from userproxy.standalone.resources.endpoints import repack
from userproxy.standalone.resources.ip import parse

_NOT_CLONED = (names.TRIGGER_TIME, names.LAST_APPLIED)


def decide(state: State, settings: Settings) -> list[Write]:
    """Return the writes that make the mirrored slices say what the Endpoints say."""
    mirrored = [item for item in state.slices if _is_mirrored(item, state.name)]
    endpoints = state.endpoints
    if endpoints is None or not _is_mirrorable(endpoints) or not _is_by_hand(state.service):
        return [Write("delete", ENDPOINT_SLICE, item) for item in mirrored]
    labels = {
        **labels_of(endpoints),
        names.SERVICE_NAME: state.name,
        names.MANAGED_BY: names.MIRRORING_CONTROLLER,
    }
    metadata: Json = {
        "labels": dict(sorted(labels.items())),
        "ownerReferences": [controller_reference(ENDPOINTS, endpoints)],
    }
    annotations = {
        key: value
        for key, value in (endpoints["metadata"].get("annotations") or {}).items()
        if key not in _NOT_CLONED
    }
    if annotations:
        metadata["annotations"] = annotations
    outcome = _place(_wanted(endpoints, settings.mirrored_per_subset), mirrored, metadata)
    outcome.recycle(outcome.leaving)
    return outcome.writes(state.namespace, state.name, metadata)


def notices(state: State, settings: Settings) -> list[Notice]:
    """Return what to tell about Endpoints that cannot be mirrored as they are."""
    endpoints = state.endpoints
    if endpoints is None or not _is_mirrorable(endpoints) or not _is_by_hand(state.service):
        return []
    invalid = skipped = 0
    most = settings.mirrored_per_subset
    for subset in repack(endpoints.get("subsets", [])):
        given = [*subset.get("addresses", []), *subset.get("notReadyAddresses", [])]
        valid = sum(parse(address["ip"]) is not None for address in given)
        invalid += len(given) - valid
        skipped += max(0, valid - most)
    told = []
    if invalid:
        text = f"Skipped {invalid} invalid IP addresses when mirroring to EndpointSlices"
        told.append(Notice(endpoints, "InvalidIPAddress", text))
    if skipped:
        text = (
            f"A max of {most} addresses can be mirrored to EndpointSlices per Endpoints subset. "
            f"{skipped} addresses were skipped"
        )
        told.append(Notice(endpoints, "TooManyAddressesToMirror", text))
    return told


def _is_mirrored(item: Json, name: str) -> bool:
    labels = labels_of(item)
    by_us = labels.get(names.MANAGED_BY) == names.MIRRORING_CONTROLLER
    return by_us and labels.get(names.SERVICE_NAME) == name and not item["metadata"].get("deletionTimestamp")


def _is_mirrorable(endpoints: Json) -> bool:
    if labels_of(endpoints).get(names.SKIP_MIRROR) == "true":
        return False
    return names.LEADER not in (endpoints["metadata"].get("annotations") or {})


def _is_by_hand(service: Json | None) -> bool:
    return service is not None and service["spec"].get("selector") is None


def _wanted(endpoints: Json, most: int) -> dict[tuple[str, PortsKey], Draft]:
    """Return one slice for each family and set of ports."""
    drafts: dict[tuple[str, PortsKey], Draft] = {}
    for subset in repack(endpoints.get("subsets", [])):
        ports = [_port(port) for port in subset.get("ports", [])]
        added = 0
        for field, ready in (("addresses", True), ("notReadyAddresses", False)):
            for address in subset.get(field, []):
                if added >= most or parse(address["ip"]) is None:
                    continue
                family = family_of(address["ip"])
                draft = drafts.setdefault((family, ports_key(ports)), Draft(family, ports, []))
                draft.endpoints.append(_endpoint(address, ready=ready))
                added += 1
    return drafts


def _port(port: Json) -> Json:
    named = {"name": "", **port}
    return {field: named[field] for field in ("name", "protocol", "port", "appProtocol") if field in named}


def _endpoint(address: Json, *, ready: bool) -> Json:
    endpoint: Json = {"addresses": [address["ip"]], "conditions": {"ready": ready}}
    for field in ("hostname", "targetRef", "nodeName"):
        if address.get(field):
            endpoint[field] = address[field]
    return endpoint


def _place(wanted: dict[tuple[str, PortsKey], Draft], mirrored: list[Json], metadata: Json) -> Outcome:
    """Give each wanted slice the existing one of the same family and ports; the rest of those leaves."""
    outcome = Outcome([], [])
    left = dict(wanted)
    for item in mirrored:
        draft = left.pop((item["addressType"], ports_key(item["ports"])), None)
        if draft is None:
            outcome.leaving.append(item)
            continue
        draft.existing = item
        draft.changed = not _says(item, draft, metadata)
        outcome.drafts.append(draft)
    outcome.drafts += left.values()
    return outcome


def _says(item: Json, draft: Draft, metadata: Json) -> bool:
    there = {endpoint_key(endpoint): endpoint for endpoint in item["endpoints"] or []}
    wanted = {endpoint_key(endpoint): endpoint for endpoint in draft.endpoints}
    return there == wanted and all(
        (item["metadata"].get(field) or {}) == metadata.get(field, {})
        for field in ("labels", "annotations", "ownerReferences")
    )
