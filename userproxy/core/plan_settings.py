"""The settings that plans depend on.

Owns the values; what follows from them is decided where they are read.
"""

from __future__ import annotations

import msgspec

from userproxy.core.node_ports import PRIMARY
from userproxy.model import DEFAULT_OPTIONS, Family, NoEndpoints, PortOptions


class PlanSettings(msgspec.Struct, frozen=True):
    """The settings that decide where listeners go."""

    capture: str
    """`redirect`, `route`, `loopback` or `none`"""
    proxy_address_ipv4: str
    """where IPv4 listeners are bound in redirect and none mode"""
    proxy_address_ipv6: str
    """the same for IPv6; empty when the host has no IPv6, then IPv6 Service ports are left out"""
    no_endpoints: NoEndpoints
    """what a client meets while no endpoint is usable, unless the Service says otherwise"""
    first_port: int = 0
    """lowest port number this process may bind in loopback mode (ip_unprivileged_port_start, 0 when privileged)"""
    pod_networks: tuple[str, ...] = ()
    """where Pods have their addresses; empty: not known"""
    node_ports: bool = True
    """whether node ports are served (not in a sidecar, which stands for one Pod)"""
    node_port_addresses: tuple[str, ...] = (PRIMARY,)
    localhost_node_ports: bool = True
    local_ports: tuple[int, int] = (0, 0)
    """first and last number that the kernel gives to outgoing connections"""
    transparent_allowed: bool = False
    """whether dials from the client's own address can be had"""
    options: PortOptions = DEFAULT_OPTIONS
    """what a Service port asks of the data plane unless the Service says otherwise"""

    def proxy_address(self, family: Family) -> str:
        """Return the address of redirect listeners of one family."""
        return self.proxy_address_ipv4 if family is Family.IPV4 else self.proxy_address_ipv6
