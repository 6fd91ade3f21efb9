"""The words for why an endpoint is used, what a policy means for a client, and what brings packets to a listener.

Owns these texts. What they tell comes from the functions that plans are made with (`core.topology`, `core.policy`).
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence

from userproxy.core.addresses import address_text
from userproxy.core.counters import PortCounters
from userproxy.core.events import ConnectionEvent, Event, event_line, service_text
from userproxy.core.explanation import EndpointReason
from userproxy.core.networks import contains
from userproxy.core.plan import Serving
from userproxy.core.policy import Route, Verdict
from userproxy.core.redirect import TABLE, iptables_rule, nft_element
from userproxy.core.topology import cluster_set, local_set, topology_mode
from userproxy.model import (
    Address,
    Balance,
    CaptureEntry,
    Endpoint,
    Family,
    Frontend,
    FrontendKind,
    Host,
    PortKey,
    Scope,
    ServicePort,
)

_MOST_FAILURES = 5


def capture_text(frontend: Frontend, listener: Address | None, capture: str) -> str:
    """Return what brings packets for `frontend` to the listener; `capture` as `redirect (nft)`."""
    if listener is None:
        return "no listener is open, so connections are refused"
    at = address_text(listener)
    if frontend.kind is FrontendKind.NODE_PORT:
        return f"listener on the node's own address {at}, no rule needed"
    if frontend.kind is FrontendKind.LOOPBACK:
        return f"listener on that loopback address, {at}"
    if capture == "route":
        return f"local route, listener on {at}"
    entry = CaptureEntry(frontend, listener)
    if "iptables" in capture:
        return f"{capture}: {iptables_rule(entry)}"
    return f"{capture}: table {TABLE}, element {nft_element(entry)}"


def hints_text(endpoints: Sequence[Endpoint], host: Host) -> str:
    """Return which topology hints count on this host."""
    ready = [one for one in endpoints if one.ready]
    if not any(one.zones or one.nodes for one in ready):
        return "none"
    mode = topology_mode(ready, host.node, host.zone)
    if mode == "node":
        return f"endpoints meant for node {host.node} only"
    if mode == "zone":
        return f"endpoints meant for zone {host.zone} only"
    zone = host.zone or "unknown"
    return f"ignored: some ready endpoint has none, or none is meant for this node ({host.node or 'unknown'}, zone {zone})"


def endpoint_reasons(port: ServicePort, host: Host, *, local: bool) -> tuple[EndpointReason, ...]:
    """Return each endpoint with why it is in or out; `local`: the endpoints of this node are asked for too."""
    cluster = {one.socket_address for one in cluster_set(port.endpoints, host.node, host.zone)}
    here = {one.socket_address for one in local_set(port.endpoints, host.node)} if local else set()
    tiers = any(one.ready for one in port.endpoints)
    return tuple(
        EndpointReason(
            address_text(one.socket_address),
            one.node,
            one.socket_address in cluster or one.socket_address in here,
            _why(one, one.socket_address in cluster, one.socket_address in here, tiers, host, local=local),
        )
        for one in port.endpoints
    )


def _why(one: Endpoint, in_cluster: bool, is_here: bool, some_ready: bool, host: Host, *, local: bool) -> str:
    place = ""
    if local:
        place = (
            ", on this node"
            if is_here
            else f", not on this node ({host.node or 'unknown'}): not for policy Local"
        )
    if in_cluster or is_here:
        return ("ready" if one.ready else "terminating, still serving, and none is ready") + place
    if one.ready:
        meant = ", ".join(one.nodes or one.zones)
        return f"ready, but hints keep it for {meant}"
    if one.terminating:
        state = "still serving" if one.serving else "no longer serving"
        return f"terminating, {state}" + (
            ", ready endpoints are preferred" if some_ready and one.serving else ""
        )
    return "not ready"


def policy_text(port: ServicePort, route: Route) -> str:
    """Return the traffic policy that a route follows."""
    exposure = port.exposure
    if route.scope is Scope.INTERNAL:
        return f"internalTrafficPolicy {'Local' if exposure.internal_local else 'Cluster'}"
    text = f"externalTrafficPolicy {'Local' if exposure.external_local else 'Cluster'}"
    if route.scope is Scope.LOAD_BALANCER and exposure.source_ranges:
        return f"{text}, loadBalancerSourceRanges {', '.join(exposure.source_ranges)}"
    return text


def outcome(
    port: ServicePort, route: Route, serving: Serving, host: Host, source: str
) -> tuple[str, str, bool]:
    """Return what becomes of a connection (as `Way.outcome`), why, and whether the local set is taken."""
    if route.verdict is not Verdict.CARRY:
        what = "dropped" if route.verdict is Verdict.DROP else "refused"
        if serving.cluster:
            return what, f"no usable endpoint is on this node ({host.node or 'unknown'})", True
        return what, f"no endpoint is usable, and for that no-endpoints is {route.verdict.value}", False
    if route.allowed and not source:
        return (
            "depends",
            f"only for clients in {_networks(route)}; all others are dropped (try --from IP)",
            route.local,
        )
    if source and not all(contains(networks, source) for networks in route.allowed):
        return "dropped", f"{source} is not in {_networks(route)}", route.local
    if not route.local:
        return "carried", f"to one of {_count(serving.cluster)}", False
    if source and not contains(route.everywhere, source):
        return "carried", f"to one of {_count(serving.local)} on this node", True
    if source:
        return (
            "carried",
            f"to one of {_count(serving.cluster)}; {source} is this host or a Pod, to which Local does not apply",
            True,
        )
    if route.everywhere:
        inside = _count(serving.cluster)
        return (
            "carried",
            f"to one of {_count(serving.local)} on this node; this host and its Pods: one of {inside}",
            True,
        )
    return "carried", f"to one of {_count(serving.local)} on this node", True


def _networks(route: Route) -> str:
    return " and ".join("(" + ", ".join(networks[:8]) + ")" for networks in route.allowed)


def _count(endpoints: Sequence[Address]) -> str:
    return f"{len(endpoints)} endpoint" + "s" * (len(endpoints) != 1)


def setting_lines(port: ServicePort) -> Iterator[str]:
    """Yield what a Service port asks of the data plane beside the usual."""
    options = port.options
    if options.balance is not Balance.ROUND_ROBIN:
        yield f"balance: {options.balance.value}"
    if options.affinity_seconds:
        yield f"session affinity: a client keeps its endpoint for {options.affinity_seconds} s after its last connection"
    if options.max_connections:
        yield f"at most {options.max_connections} connections at once"
    if options.eject_failures:
        yield f"an endpoint rests after {options.eject_failures} failed dials in a row"
    if options.drain_seconds >= 0:
        yield f"connections to an endpoint that left end after {options.drain_seconds:g} s"
    if options.proxy_protocol:
        yield f"endpoints get PROXY protocol version {options.proxy_protocol}"


def recent_failures(key: PortKey, events: Iterable[Event]) -> list[str]:
    """Return the last few connections of a Service port that were refused, or carried only after a failed dial."""
    family = "IPv6" if key.family is Family.IPV6 else "IPv4"
    found = [
        event
        for event in events
        if isinstance(event, ConnectionEvent)
        and (event.verdict == "refused" or event.failed)
        and (service_text(event), event.ip_family) == (str(key.name), family)
    ]
    return [event_line(event) for event in found[-_MOST_FAILURES:]]


def failure_lines(counters: PortCounters) -> Iterator[str]:
    """Yield what went wrong since the start, from the counters."""
    kinds = {
        "refused": counters.dial_refused,
        "unreachable": counters.dial_unreachable,
        "timed out": counters.dial_timeout,
        "other": counters.dial_other,
    }
    dials = ", ".join(f"{count} {kind}" for kind, count in kinds.items() if count)
    if dials:
        yield f"dials since the start: {dials}; {counters.retries} went on to another endpoint"
    if counters.failed:
        yield f"{counters.failed} of {counters.accepted} connections were reset because no endpoint took them"
    if counters.paused:
        yield f"accepting rested {counters.paused} times at the limit of connections"
