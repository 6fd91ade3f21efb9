"""Which addresses of the host answer node ports, and what stands in their way.

Owns the meaning of --nodeport-addresses (kube-proxy's NPA:NewNodePortAddresses, reference rows 1.8.x). Node ports need no
capture: their listeners are bound to these addresses. Reads no interface; the host's addresses come in.
"""

from __future__ import annotations

import ipaddress
from collections.abc import Sequence

from userproxy.core.networks import LOOPBACK, contains, network_of, of_family
from userproxy.errors import UsageError
from userproxy.model import Family, Host, family_of

PRIMARY = "primary"
"""The addresses that the Node object has."""


def check_node_port_addresses(wanted: Sequence[str]) -> None:
    """Raise UsageError unless `wanted` is `primary` alone or a list of networks."""
    for text in wanted:
        if text == PRIMARY:
            if len(wanted) > 1:
                raise UsageError("--nodeport-addresses: primary stands alone; leave out it or the networks")
            continue
        try:
            ipaddress.ip_network(text)
        except ValueError as error:
            raise UsageError(
                f"--nodeport-addresses: {error}; write networks such as 192.168.0.0/16, or primary"
            ) from None


def node_port_addresses(
    wanted: Sequence[str], host: Host, family: Family, *, localhost: bool
) -> tuple[str, ...]:
    """Return the addresses of one family that answer node ports, sorted.

    `localhost`: 127.0.0.1 and ::1 answer too. A family for which `wanted` names nothing matches every address (rows 1.8.2,
    1.8.3).
    """
    own = [address for address in host.addresses if family_of(address) is family]
    networks = _networks(wanted, host, family)
    found = {address for address in own if not networks or contains(networks, address)}
    if localhost and LOOPBACK[family] in own:
        found.add(LOOPBACK[family])
    elif not localhost:
        found.discard(LOOPBACK[family])
    return tuple(sorted(found))


def matches_all(wanted: Sequence[str], host: Host, family: Family) -> bool:
    """Whether every address of the family answers node ports."""
    return not _networks(wanted, host, family)


def port_range_warning(who: str, number: int, local_ports: tuple[int, int]) -> str | None:
    """Return what is wrong with a node port that the kernel may hand to an outgoing connection, None when it cannot.

    `local_ports`: first and last number of net.ipv4.ip_local_port_range.
    """
    first, last = local_ports
    if not first <= number <= last:
        return None
    return (
        f"{who}: node port {number} is in ip_local_port_range {first}-{last}, so an outgoing connection of this host may hold "
        f"it; reserve it: sysctl -w net.ipv4.ip_local_reserved_ports={number}"
    )


def _networks(wanted: Sequence[str], host: Host, family: Family) -> tuple[str, ...]:
    if tuple(wanted) == (PRIMARY,):
        one = [address for address in host.node_addresses if family_of(address) is family][:1]
        return tuple(network_of(address) for address in one if not ipaddress.ip_address(address).is_loopback)
    networks = of_family(wanted, family)
    return () if any(network.endswith("/0") for network in networks) else networks
