"""Port numbers for listeners that may have any: on the proxy address in redirect and none mode.

Owns the choice. Ports inside net.ipv4.ip_local_port_range are taken last: a bound port there is lost to every outgoing
connection of the host (inet_hash_connect skips it whatever its address), and ten thousand Services would eat a third of them.
"""

from __future__ import annotations

import itertools
import socket
from collections.abc import Iterator
from pathlib import Path

FIRST = 20000
"""Below it well-known servers are common; a wildcard bind to a port we hold would fail."""
RANGE_FILE = Path("/proc/sys/net/ipv4/ip_local_port_range")
UNPRIVILEGED_FILE = Path("/proc/sys/net/ipv4/ip_unprivileged_port_start")


def local_port_range() -> tuple[int, int]:
    """Return the range of ports that outgoing connections use, the kernel's default where it cannot be read."""
    try:
        low, high = RANGE_FILE.read_text().split()
        return int(low), int(high)
    except (OSError, ValueError):
        return 32768, 60999


class PortNumbers:
    """Hands out port numbers in turn, so that a number just given back is not used again at once."""

    def __init__(self, low: int, high: int) -> None:
        outside = itertools.chain(range(FIRST, min(low, 65536)), range(max(high + 1, FIRST), 65536))
        inside = range(max(low, FIRST), min(high, 65535) + 1)
        self._order = [*outside, *inside]
        self._next = 0

    def candidates(self) -> Iterator[int]:
        """Yield every port number once, beginning behind the one that was taken last."""
        for _ in range(len(self._order)):
            number = self._order[self._next]
            self._next = (self._next + 1) % len(self._order)
            yield number


def lowest_port() -> int:
    """Return the lowest port number this process may bind: 0 when privileged, else ip_unprivileged_port_start."""
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("127.0.0.1", 1))
        except PermissionError:
            pass
        except OSError:
            return 0
        else:
            return 0
    try:
        return int(UNPRIVILEGED_FILE.read_text())
    except (OSError, ValueError):
        return 1024
