"""Which listening sockets bring a Service port's connections to us, by the way of capture.

Owns addresses, ports and scopes of listeners and the frontends each answers. Loopback addresses, which depend on what other
Services have, are `core.plan`'s.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import TypeAlias

from userproxy.core.node_ports import node_port_addresses
from userproxy.core.plan_settings import PlanSettings
from userproxy.model import CLUSTER_IP_ONLY, Frontend, FrontendKind, Host, ListenerSpec, Scope, ServicePort

Listeners: TypeAlias = list[tuple[ListenerSpec, tuple[Frontend, ...]]]


def listeners_at_frontends(port: ServicePort) -> Listeners:
    """Return a listener bound to each address that packets are brought from (route)."""
    return [
        (ListenerSpec(port.key, one.address, one.port, captured_only=False, scope=scope), (one,))
        for scope, frontends in _captured_frontends(port).items()
        for one in frontends
    ]


def listeners_at_proxy(port: ServicePort, settings: PlanSettings) -> Listeners:
    """Return a listener at the proxy's own address for each scope (redirect), or one that nothing is brought to (none)."""
    address = settings.proxy_address(port.key.family)
    if not address:
        return []
    if settings.capture != "redirect":
        return [(ListenerSpec(port.key, address, 0, captured_only=False), ())]
    return [
        (ListenerSpec(port.key, address, 0, captured_only=True, scope=scope), frontends)
        for scope, frontends in _captured_frontends(port).items()
    ]


def node_port_listeners(port: ServicePort, settings: PlanSettings, host: Host) -> Listeners:
    """Return a listener on each of the host's addresses that answers node ports; the kernel needs no rule for them."""
    number = port.exposure.node_port
    if not number or not settings.node_ports:
        return []
    addresses = node_port_addresses(
        settings.node_port_addresses, host, port.key.family, localhost=settings.localhost_node_ports
    )
    protocol = port.key.name.protocol
    return [
        (
            ListenerSpec(port.key, address, number, captured_only=False, scope=Scope.EXTERNAL),
            (Frontend(address, number, protocol, FrontendKind.NODE_PORT),),
        )
        for address in addresses
    ]


def _captured_frontends(port: ServicePort) -> dict[Scope, tuple[Frontend, ...]]:
    """Return the addresses that packets must be brought from, by the policy they follow; none is named twice."""
    exposure, protocol = port.exposure, port.key.name.protocol
    if exposure is CLUSTER_IP_ONLY:
        return {Scope.INTERNAL: (Frontend(port.cluster_ip, port.port, protocol),)}
    seen: set[str] = set()

    def frontends(addresses: Iterable[str], kind: FrontendKind) -> tuple[Frontend, ...]:
        fresh = [address for address in dict.fromkeys(addresses) if address not in seen]
        seen.update(fresh)
        return tuple(Frontend(address, port.port, protocol, kind) for address in fresh)

    found = {
        Scope.INTERNAL: frontends((port.cluster_ip,), FrontendKind.CLUSTER_IP),
        Scope.LOAD_BALANCER: frontends(exposure.load_balancer_ips, FrontendKind.LOAD_BALANCER),
        Scope.EXTERNAL: frontends(exposure.external_ips, FrontendKind.EXTERNAL_IP),
    }
    return {scope: addresses for scope, addresses in found.items() if addresses}
