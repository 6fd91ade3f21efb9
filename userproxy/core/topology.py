"""Which endpoints of a Service port may take a new connection.

Owns the two tiers of kube-proxy (TOP:CategorizeEndpoints, v1.36): ready endpoints, and only when there is none, those that are
serving while they terminate (KEP-1669). Traffic policies and hints will be decided here too. Picking one of the usable
endpoints is `core.balancer`'s work.
"""

from __future__ import annotations

from collections.abc import Sequence

from userproxy.model import Endpoint


def usable(endpoints: Sequence[Endpoint]) -> tuple[Endpoint, ...]:
    """Return the endpoints that new connections may go to, in the order given; empty when none may be used."""
    ready = tuple(endpoint for endpoint in endpoints if endpoint.ready)
    if ready:
        return ready
    return tuple(endpoint for endpoint in endpoints if endpoint.serving and endpoint.terminating)
