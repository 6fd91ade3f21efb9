"""What happens to a connection by the way it came: kube-proxy's verdict matrix (reference section 1.0).

Owns the traffic policies and loadBalancerSourceRanges: for each scope of a Service port the verdict, the set of endpoints, and
which clients are let in. Which endpoints are in a set is `core.topology`'s work. Follows kube-proxy's nftables mode, except
that `no_endpoints` decides what a client meets while no endpoint is usable anywhere.
"""

from __future__ import annotations

import enum
from collections.abc import Collection, Iterator

import msgspec
from msgspec import structs

from userproxy.core.networks import LOOPBACK, contains, network_of, of_family
from userproxy.model import CLUSTER_IP_ONLY, Address, Family, Host, NoEndpoints, Scope, ServicePort, family_of


class Verdict(enum.Enum):
    """What happens to a connection attempt at a Service port."""

    # As in model.FrontendKind.
    __hash__ = object.__hash__

    CARRY = "carry"
    DROP = "drop"
    REJECT = "reject"


class Route(msgspec.Struct, frozen=True, gc=False, array_like=True):
    """What the listeners of one scope do."""

    scope: Scope
    verdict: Verdict
    local: bool = False
    """connections go to the local set, but for clients in `everywhere`"""
    everywhere: tuple[str, ...] = ()
    """networks of clients that get the cluster set all the same: Pods and the host itself"""
    allowed: tuple[tuple[str, ...], ...] = ()
    """a client must be in a network of each of these; all others are dropped"""


def routes(
    port: ServicePort,
    host: Host,
    pod_networks: tuple[str, ...],
    no_endpoints: NoEndpoints,
    cluster: Collection[Address],
    local: Collection[Address],
) -> tuple[Route, ...]:
    """Return a route for each scope that `port` has; the first is always that of the ClusterIP.

    `pod_networks`: where Pods have their addresses (--cluster-cidr); `cluster` and `local`: the endpoints usable.
    """
    exposure = port.exposure
    if exposure is CLUSTER_IP_ONLY:
        # Nearly all Service ports: no policy, nothing to find out, and one value for all of them.
        return _PLAIN[Verdict.CARRY if cluster else Verdict(no_endpoints.value)]
    none = Verdict(no_endpoints.value)
    if not cluster:
        # The local set is part of the cluster set wherever that has any endpoint, so there is nothing at all.
        internal, external = Route(Scope.INTERNAL, none), Route(Scope.EXTERNAL, none)
    else:
        internal = _internal(exposure.internal_local, local)
        external = _external(port, host, pod_networks, local)
    found = [internal]
    if exposure.external_ips or exposure.node_port:
        found.append(external)
    if exposure.load_balancer_ips:
        route = structs.replace(external, scope=Scope.LOAD_BALANCER)
        found.append(_with_source_ranges(route, port, host))
    return tuple(found)


_PLAIN = {verdict: (Route(Scope.INTERNAL, verdict),) for verdict in Verdict}


def needs_local_set(port: ServicePort) -> bool:
    """Whether any policy of `port` asks for the endpoints of this node (row 1.4.2)."""
    return port.exposure.internal_local or port.exposure.external_local


def _internal(policy_local: bool, local: Collection[Address]) -> Route:
    verdict = Verdict.DROP if policy_local and not local else Verdict.CARRY
    return Route(Scope.INTERNAL, verdict, policy_local)


def _external(
    port: ServicePort, host: Host, pod_networks: tuple[str, ...], local: Collection[Address]
) -> Route:
    if not port.exposure.external_local:
        return Route(Scope.EXTERNAL, Verdict.CARRY)
    family = port.key.family
    # Rows 1.6.3 and 1.6.4: Pods (where their addresses are known) and the host itself are not bound to this node.
    own = tuple(_host_networks(host, port))
    everywhere = tuple(sorted({*of_family(pod_networks, family), *own}))
    if local:
        return Route(Scope.EXTERNAL, Verdict.CARRY, local=True, everywhere=everywhere)
    return Route(Scope.EXTERNAL, Verdict.CARRY, local=True, everywhere=everywhere, allowed=(everywhere,))


def _host_networks(host: Host, port: ServicePort) -> Iterator[str]:
    family = port.key.family
    yield "::1/128" if family is Family.IPV6 else "127.0.0.0/8"
    # A frontend that is an address of the host's own, by a local route, is what the host takes as its source there.
    for address in (*host.addresses, *port.exposure.external_ips, *port.exposure.load_balancer_ips):
        if family_of(address) is family and address not in LOOPBACK.values():
            yield network_of(address)


def _with_source_ranges(route: Route, port: ServicePort, host: Host) -> Route:
    ranges = port.exposure.source_ranges
    # Rows 1.7.3 and 1.7.4: no range of this family, or one that covers all of it, means no restriction.
    if not ranges or any(network.endswith("/0") for network in ranges) or route.verdict is not Verdict.CARRY:
        return route
    family = port.key.family
    own = [address for address in host.node_addresses or host.addresses if family_of(address) is family]
    if any(contains(ranges, address) for address in own):
        # Row 1.7.5: the node itself reaches the address from the address.
        ranges = (*ranges, *map(network_of, port.exposure.load_balancer_ips))
    return structs.replace(route, allowed=(*route.allowed, ranges))
