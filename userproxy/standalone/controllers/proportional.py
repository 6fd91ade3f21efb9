"""Hints in proportion to the processors of each zone: the annotation `service.kubernetes.io/topology-mode: Auto`.

Pure. The rules are those of `k8s.io/endpointslice/topologycache`: each zone is served by its ready endpoints, then zones with
more than their share lend some to zones with less; where a zone cannot be kept below 20 % overload, nobody gets a hint.
"""

from __future__ import annotations

import math
import re
from collections import Counter
from collections.abc import Iterable, Mapping

import msgspec

from userproxy.standalone.controllers import names
from userproxy.standalone.controllers.drafts import Draft
from userproxy.standalone.controllers.hints import replace_endpoints, set_hints
from userproxy.standalone.objects import Json, labels_of

_OVERLOAD = 1.2
_LEFT_OUT = ("node-role.kubernetes.io/control-plane", "node-role.kubernetes.io/master")
_CPU = re.compile(r"(\d{1,9}(?:\.\d{1,9})?)(m?)")


class Share(msgspec.Struct, frozen=True):
    """Endpoints that a zone should have, and the most it may have without starving others."""

    desired: float
    most: int


def is_wanted(service: Json) -> bool:
    """Return whether the annotation asks for this; its older name wins over the newer."""
    annotations = service["metadata"].get("annotations") or {}
    mode = annotations.get(names.TOPOLOGY_HINTS, annotations.get(names.TOPOLOGY_MODE, ""))
    return mode in ("Auto", "auto")


def node_facts(node: Json) -> tuple[object, ...]:
    """Return what the shares depend on."""
    return (_counts(node), labels_of(node).get(names.ZONE, ""), _processors(node))


def share_out(drafts: list[Draft], nodes: Mapping[str, Json]) -> None:
    """Give the endpoints of one family their hints, or none at all; marks slices that change by it."""
    ready = [endpoint for draft in drafts for endpoint in draft.endpoints if _is_ready(endpoint)]
    shares = zone_shares(zone_ratios(nodes.values()), len(ready))
    if not shares:
        set_hints(drafts, None)
        return
    given: Counter[str] = Counter()
    open_drafts = []
    for draft in drafts:
        standing = None if draft.changed else _standing(draft, given, shares)
        if standing is None:
            open_drafts.append(draft)
        else:
            given += standing
    waiting = [endpoint for draft in open_drafts for endpoint in draft.endpoints if _is_ready(endpoint)]
    if any(not endpoint.get("zone") for endpoint in waiting):
        set_hints(drafts, None)
        return
    given.update(endpoint["zone"] for endpoint in waiting)
    lending, borrowing = _loans(shares, given)
    for draft in open_drafts:
        replace_endpoints(draft, [_hinted(endpoint, lending, borrowing) for endpoint in draft.endpoints])


def zone_ratios(nodes: Iterable[Json]) -> dict[str, float]:
    """Return each zone's part of all processors; empty when a Node does not say zone or processors, or in a single zone."""
    processors: Counter[str] = Counter()
    for node in nodes:
        if not _counts(node):
            continue
        zone, amount = labels_of(node).get(names.ZONE, ""), _processors(node)
        if not zone or not amount:
            return {}
        processors[zone] += amount
    total = sum(processors.values())
    return {zone: amount / total for zone, amount in processors.items()} if len(processors) > 1 else {}


def zone_shares(ratios: Mapping[str, float], endpoints: int) -> dict[str, Share]:
    """Return the share of each zone, empty when there are too few endpoints to keep every zone below the overload."""
    if len(ratios) > endpoints:
        return {}
    least = {zone: math.ceil(ratio * endpoints / _OVERLOAD) for zone, ratio in ratios.items()}
    spare = endpoints - sum(least.values())
    if spare < 0:
        return {}
    return {
        zone: Share(max(ratio * endpoints, least[zone]), least[zone] + spare)
        for zone, ratio in ratios.items()
    }


def _standing(draft: Draft, given: Counter[str], shares: Mapping[str, Share]) -> Counter[str] | None:
    """Return the hints of a slice that may stay as it is, None when they no longer fit."""
    standing: Counter[str] = Counter()
    for endpoint in draft.endpoints:
        if not _is_ready(endpoint):
            continue
        zones = [entry["name"] for entry in endpoint.get("hints", {}).get("forZones", [])]
        if not zones or any(zone not in shares for zone in zones):
            return None
        standing.update(zones)
    fits = all(count + given[zone] <= shares[zone].most for zone, count in standing.items())
    return standing if fits else None


def _loans(shares: Mapping[str, Share], given: Counter[str]) -> tuple[Counter[str], Counter[str]]:
    """Return how many endpoints zones lend and borrow: from the richest to the poorest, one by one."""
    over = {
        zone: given[zone] - share.desired for zone, share in shares.items() if given[zone] > share.desired
    }
    under = {
        zone: share.desired - given[zone] for zone, share in shares.items() if given[zone] < share.desired
    }
    lending: Counter[str] = Counter()
    borrowing: Counter[str] = Counter()
    while over and under:
        giver, taker = max(over, key=lambda zone: over[zone]), max(under, key=lambda zone: under[zone])
        if min(over[giver], under[taker]) < 0.5 or max(over[giver], under[taker]) < 1:
            break
        over[giver] -= 1
        under[taker] -= 1
        lending[giver] += 1
        borrowing[taker] += 1
    return lending, borrowing


def _hinted(endpoint: Json, lending: Counter[str], borrowing: Counter[str]) -> Json:
    if not _is_ready(endpoint):
        return endpoint
    zone = endpoint["zone"]
    taker = next((name for name, count in borrowing.items() if count > 0), None)
    if taker is not None and lending[zone] > 0:
        lending[zone] -= 1
        borrowing[taker] -= 1
        zone = taker
    return {**endpoint, "hints": {"forZones": [{"name": zone}]}}


def _is_ready(endpoint: Json) -> bool:
    return bool(endpoint["conditions"].get("ready"))


def _counts(node: Json) -> bool:
    conditions = node["status"].get("conditions", [])
    ready = any(entry["type"] == "Ready" and entry["status"] == "True" for entry in conditions)
    return ready and not any(label in labels_of(node) for label in _LEFT_OUT)


def _processors(node: Json) -> int:
    """Return thousandths of processors that Pods may use; 0 when the Node does not say."""
    status = node["status"]
    # what is not told as allocatable is all that there is (SetDefaults_NodeStatus)
    text = str((status.get("allocatable") or status.get("capacity") or {}).get("cpu", ""))
    found = _CPU.fullmatch(text)
    return round(float(found[1]) * (1 if found[2] else 1000)) if found else 0
