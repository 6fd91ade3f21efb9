"""What a load balancer hears when it asks whether this node has endpoints: healthCheckNodePort.

Owns which Services have such a port, where it answers and what it counts (kube-proxy's SVCU:NeedsHealthCheck and
ECT:LocalReadyEndpoints, reference rows 1.9.x). Serving it is `admin.health_checks`' work.
"""

from __future__ import annotations

from collections.abc import Sequence

import msgspec

from userproxy.core.node_ports import matches_all, node_port_addresses
from userproxy.core.plan_settings import PlanSettings
from userproxy.model import Family, Host, ServiceName, ServicePort

_ALL = {Family.IPV4: "0.0.0.0", Family.IPV6: "::"}


class HealthCheck(msgspec.Struct, frozen=True, gc=False):
    """One Service's health-check port on one family."""

    service: ServiceName
    family: Family
    port: int
    addresses: tuple[str, ...]
    """where it answers"""
    endpoints: int
    """distinct addresses of ready endpoints on this node, over all ports of the Service"""


def health_checks(
    service: ServiceName, ports: Sequence[ServicePort], host: Host, settings: PlanSettings
) -> tuple[HealthCheck, ...]:
    """Return the health-check ports of a Service, one for each of its families; none in a sidecar."""
    if not any(port.exposure.health_check_node_port for port in ports):
        return ()
    wanted = {port.key.family: port.exposure.health_check_node_port for port in ports}
    return tuple(
        HealthCheck(service, family, number, _addresses(family, host, settings), _count(ports, family, host))
        for family, number in sorted(wanted.items())
        if number and settings.node_ports
    )


def _addresses(family: Family, host: Host, settings: PlanSettings) -> tuple[str, ...]:
    if matches_all(settings.node_port_addresses, host, family):
        return (_ALL[family],)
    return node_port_addresses(settings.node_port_addresses, host, family, localhost=False)


def _count(ports: Sequence[ServicePort], family: Family, host: Host) -> int:
    """Count tier 1 only: endpoints that serve while they terminate carry on, but the check already fails (row 1.9.7)."""
    return len(
        {
            endpoint.address
            for port in ports
            if port.key.family is family
            for endpoint in port.endpoints
            if endpoint.ready and endpoint.node == host.node
        }
    )
