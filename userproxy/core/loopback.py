"""A stable 127.x address for each Service, for hosts where nothing may be captured.

Owns the choice of address and port in loopback mode: the same Service gets the same address on every run and every host,
unless two Services of one host meet on it. All of 127.0.0.0/8 is local on Linux (RFC 1122, 3.2.1.3), so no privilege is needed.
"""

from __future__ import annotations

import hashlib
import ipaddress
import itertools
from collections.abc import Callable, Collection

from userproxy.model import ServiceName

RANGE = ipaddress.IPv4Network("127.64.0.0/10")
"""Kept away from 127.0.0.0/16, where resolvers (127.0.0.53) and other tools have their addresses."""

PRIVILEGED_OFFSETS = (8000, 18000, 28000, 38000)
"""Added to a port this process may not bind: 80 becomes 8080, 443 becomes 8443."""


def loopback_address(name: ServiceName, is_taken: Callable[[str], bool]) -> str:
    """Return the loopback address of Service `name`: the first candidate that is not taken."""
    for attempt in itertools.count():  # pragma: no branch
        digest = hashlib.sha256(f"{name}#{attempt}".encode()).digest()
        # The first and last address of the range look like network and broadcast addresses; leave them out.
        offset = 1 + int.from_bytes(digest[:8]) % (RANGE.num_addresses - 2)
        address = str(RANGE[offset])
        if not is_taken(address):
            break
    return address


def loopback_port(port: int, ports_of_service: Collection[int], first_port: int) -> int:
    """Return the port to bind for Service port `port`, moved up when it is below `first_port` (0: all may be bound)."""
    if port >= first_port:
        return port
    candidates = [port + offset for offset in PRIVILEGED_OFFSETS]
    return next((number for number in candidates if number not in ports_of_service), port)
