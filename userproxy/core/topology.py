"""Which endpoints of a Service port may take a new connection.

Owns the two sets of kube-proxy (TOP:CategorizeEndpoints, v1.36; reference rows 1.4.x): the cluster set, narrowed by hints, and
the local set of one node. Each has two tiers, decided for itself: ready endpoints, and only when there is none, those that
are serving while they terminate (KEP-1669). Which set a frontend takes is `core.policy`'s work, picking one endpoint
`core.balancer`'s.
"""

from __future__ import annotations

from collections.abc import Sequence

from userproxy.model import Endpoint


def cluster_set(endpoints: Sequence[Endpoint], node: str = "", zone: str = "") -> tuple[Endpoint, ...]:
    """Return the endpoints anywhere in the cluster that a client on `node` in `zone` may use, in the order given.

    Hints narrow the ready endpoints only; those that terminate are taken from everywhere (row 1.4.5).
    """
    ready = tuple([endpoint for endpoint in endpoints if endpoint.ready])
    if ready:
        return _near(ready, node, zone)
    return _terminating(endpoints)


def local_set(endpoints: Sequence[Endpoint], node: str) -> tuple[Endpoint, ...]:
    """Return the endpoints on `node`; hints do not apply to them (row 1.4.6)."""
    here = tuple(endpoint for endpoint in endpoints if node and endpoint.node == node)
    ready = tuple(endpoint for endpoint in here if endpoint.ready)
    return ready or _terminating(here)


def topology_mode(ready: Sequence[Endpoint], node: str, zone: str) -> str:
    """Return `node`, `zone` or `all`: which hints count, given the ready endpoints (rows 1.4.8 to 1.4.15).

    All or nothing: one ready endpoint without a hint of a kind switches that kind off.
    """
    if all(endpoint.nodes for endpoint in ready) and any(node in endpoint.nodes for endpoint in ready):
        return "node"
    if all(endpoint.zones for endpoint in ready) and any(zone in endpoint.zones for endpoint in ready):
        return "zone"
    return "all"


def _near(ready: tuple[Endpoint, ...], node: str, zone: str) -> tuple[Endpoint, ...]:
    mode = topology_mode(ready, node, zone)
    if mode == "node":
        return tuple(endpoint for endpoint in ready if node in endpoint.nodes)
    if mode == "zone":
        return tuple(endpoint for endpoint in ready if zone in endpoint.zones)
    return ready


def _terminating(endpoints: Sequence[Endpoint]) -> tuple[Endpoint, ...]:
    return tuple(endpoint for endpoint in endpoints if endpoint.serving and endpoint.terminating)
