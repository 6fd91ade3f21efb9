"""Hints of endpoints for `trafficDistribution`: the zone, and where wished the node, that an endpoint is meant for.

Pure. Source: `k8s.io/endpointslice/trafficdist/trafficdist.go`. The proportional mode of the topology-mode annotation is in
`proportional`.
"""

from __future__ import annotations

from userproxy.standalone.controllers.drafts import Draft
from userproxy.standalone.objects import Json

_BY_ZONE = ("PreferClose", "PreferSameZone", "PreferSameNode")
_BY_NODE = "PreferSameNode"


def set_hints(drafts: list[Draft], distribution: str | None) -> None:
    """Give endpoints their hints, or take them away when no distribution is wished; marks slices that change by it."""
    for draft in drafts:
        hinted = [_hinted(endpoint, distribution) for endpoint in draft.endpoints]
        replace_endpoints(draft, hinted)


def replace_endpoints(draft: Draft, endpoints: list[Json]) -> None:
    """Put other states of the same endpoints into a draft, which counts as changed when they differ."""
    if endpoints != draft.endpoints:
        draft.endpoints = endpoints
        draft.changed = True


def without_hints(endpoint: Json) -> Json:
    """Return the endpoint without hints."""
    return {field: value for field, value in endpoint.items() if field != "hints"}


def _hinted(endpoint: Json, distribution: str | None) -> Json:
    if distribution not in _BY_ZONE:
        return without_hints(endpoint)
    if not endpoint["conditions"].get("ready"):
        return endpoint
    hints: Json = {}
    if endpoint.get("zone"):
        hints["forZones"] = [{"name": endpoint["zone"]}]
    if distribution == _BY_NODE and endpoint.get("nodeName"):
        hints["forNodes"] = [{"name": endpoint["nodeName"]}]
    return {**without_hints(endpoint), "hints": hints} if hints else without_hints(endpoint)
