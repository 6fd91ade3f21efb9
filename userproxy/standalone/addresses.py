"""Which cluster IPs and node ports are taken, kept in step with the store, and how free ones are chosen.

Owns the service ranges. Nothing is reserved: what is chosen is taken once the Service with it has been stored, and both
happen between two awaits. What may be asked for is in `resources.service_addresses`.
"""

from __future__ import annotations

import ipaddress
import itertools
import random
from typing import TypeAlias

from userproxy.errors import UsageError
from userproxy.standalone.kinds import SERVICE
from userproxy.standalone.objects import Json, key_of
from userproxy.standalone.resources import service_addresses
from userproxy.standalone.resources.service_addresses import FIRST_NODE_PORT, LAST_NODE_PORT, family_name
from userproxy.standalone.statuses import Cause
from userproxy.standalone.store import Event, MemoryStore

Network: TypeAlias = ipaddress.IPv4Network | ipaddress.IPv6Network

DEFAULT_SERVICE_CIDR = "10.96.0.0/16"
_MOST_HOSTS = 1 << 20
"""Addresses of a range that are used, as in a real server: an IPv6 range is far larger than any table."""


def parse_service_cidr(text: str) -> tuple[Network, ...]:
    """Parse one range, or one of each family with a comma between. Raises UsageError."""
    networks: list[Network] = []
    for part in text.split(","):
        try:
            network = ipaddress.ip_network(part.strip())
        except ValueError as fault:
            raise UsageError(
                f"service range {part.strip()!r}: {fault}; give for example 10.96.0.0/16"
            ) from fault
        if network.num_addresses < 8:
            raise UsageError(f"service range {network} is too small: at least 8 addresses are needed")
        networks.append(network)
    if len(networks) > 2 or len({network.version for network in networks}) != len(networks):
        raise UsageError(
            f"service range {text!r}: one range, or one of each IP family, for example 10.96.0.0/16"
        )
    return tuple(networks)


class ServiceAddresses:
    """The cluster IPs and node ports of all Services of a store; follows the store by itself."""

    def __init__(self, store: MemoryStore, networks: tuple[Network, ...]) -> None:
        self._networks = {f"IPv{network.version}": network for network in networks}
        self._holders: dict[str, str] = {}
        self._ports: dict[int, str] = {}
        self._random = random.Random()
        for key, item in store.items(SERVICE):
            self._take(key, item)
        store.subscribe(SERVICE, self._follow)

    def allot(self, item: Json, old: Json | None) -> list[Cause]:
        """Fill in what a Service gets from the server; changes `item` and returns faults."""
        return service_addresses.allot(item, old, key_of(item), self)

    @property
    def families(self) -> tuple[str, ...]:
        """Families with a range, the primary one first."""
        return tuple(self._networks)

    @property
    def ranges(self) -> list[str]:
        """The ranges as texts."""
        return [str(network) for network in self._networks.values()]

    def in_range(self, address: str) -> bool:
        """Return whether an address may be given to a Service."""
        network = self._networks.get(family_name(address))
        if network is None:
            return False
        parsed = ipaddress.ip_address(address)
        unusable = (network.network_address, network.broadcast_address if network.version == 4 else None)
        return parsed in network and parsed not in unusable

    def holder_of(self, address: str) -> str:
        """Return the key of the Service that has an address, empty when it is free."""
        return self._holders.get(_canonical(address), "")

    def free_address(self, family: str) -> str:
        """Return a free address, empty when none is left. The first two of the range are never chosen."""
        network = self._networks[family]
        first, last = 2, min(network.num_addresses, _MOST_HOSTS) - 2
        start = self._random.randint(first, last)
        for offset in itertools.chain(range(start, last + 1), range(first, start)):
            address = str(network[offset])
            if address not in self._holders:
                return address
        return ""

    def node_port_holder(self, port: int) -> str:
        """Return the key of the Service that has a node port, empty when it is free."""
        return self._ports.get(port, "")

    def free_node_port(self, taken: set[int]) -> int:
        """Return a free node port that is not in `taken`, 0 when none is left."""
        start = self._random.randint(FIRST_NODE_PORT, LAST_NODE_PORT)
        for port in itertools.chain(range(start, LAST_NODE_PORT + 1), range(FIRST_NODE_PORT, start)):
            if port not in self._ports and port not in taken:
                return port
        return 0

    def _follow(self, event: Event) -> None:
        if event.previous is not None:
            for address in event.previous["spec"].get("clusterIPs", []):
                self._holders.pop(_canonical(address), None)
            for port in _node_ports(event.previous):
                self._ports.pop(port, None)
        if event.current is not None:
            self._take(event.key, event.current)

    def _take(self, key: str, item: Json) -> None:
        for address in item["spec"].get("clusterIPs", []):
            if address != "None":
                self._holders[_canonical(address)] = key
        for port in _node_ports(item):
            self._ports[port] = key


def _canonical(address: str) -> str:
    return str(ipaddress.ip_address(address)) if ":" in address else address


def _node_ports(item: Json) -> set[int]:
    spec = item["spec"]
    ports = {port["nodePort"] for port in spec.get("ports", []) if port.get("nodePort")}
    if spec.get("healthCheckNodePort"):
        ports.add(spec["healthCheckNodePort"])
    return ports
