"""How many connections and flows a process may hold: the descriptor limit, raised as far as it may be.

Owns the limits and what is kept back from them. What happens at a limit is the business of `dataplane.acceptor` and
`dataplane.udp_flows`.
"""

from __future__ import annotations

import fcntl
import os
import resource

from msgspec import structs

from userproxy.dataplane.ports import local_port_range
from userproxy.dataplane.udp_sockets import UdpSettings

RESERVED_DESCRIPTORS = 256
"""Kept for the API server's connections, the admin servers and rule programs."""
ROOM = 16384
"""Descriptors for which `make_room` makes room: 128 KiB of kernel memory."""
MAX_FLOWS = 32768
"""UDP flows of one worker, whatever the machine allows: at 2 KiB of kernel memory each."""


def descriptor_limit(wanted: int = 0) -> int:
    """Raise the soft descriptor limit to the hard one and return `wanted`, for 0 how many connections fit under it."""
    fitting = connections_under(_raise_limit())
    return wanted or fitting


def make_room() -> None:
    """Raise the soft descriptor limit to the hard one, and let the kernel's table of descriptors grow once, for many listeners.

    It doubles again and again else, and once a process has a second thread each time waits for all CPUs (expand_fdtable in
    fs/file.c: synchronize_rcu): 5 to 18 ms, eight times on the way to 10,000 listeners. It never shrinks.
    """
    limit = _raise_limit()
    low = os.open(os.devnull, os.O_RDONLY | os.O_CLOEXEC)
    try:
        os.close(fcntl.fcntl(low, fcntl.F_DUPFD_CLOEXEC, min(limit, ROOM) - 1))
    finally:
        os.close(low)


def _raise_limit() -> int:
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    return hard


def connections_under(hard: int) -> int:
    """Return how many connections fit under a descriptor limit; each takes two descriptors."""
    return max(16, (hard - RESERVED_DESCRIPTORS) // 2)


def with_flow_limit(udp: UdpSettings, connections: int, workers: int) -> UdpSettings:
    """Return `udp` with a limit on flows, for one of `workers` processes that may have so many connections.

    A flow has one descriptor where a connection has two, and a port number that no other UDP socket of the host can have:
    half of net.ipv4.ip_local_port_range is left to others.
    """
    if udp.max_flows:
        return udp
    low, high = local_port_range()
    fitting = min(MAX_FLOWS, connections // 2, (high - low + 1) // 2 // workers)
    return structs.replace(udp, max_flows=max(16, fitting))
