"""How many connections a process may hold: the descriptor limit, raised as far as it may be.

Owns the limit and what is kept back from it. What happens at the limit is `dataplane.acceptor`'s business.
"""

from __future__ import annotations

import resource

RESERVED_DESCRIPTORS = 256
"""Kept for the API server's connections, the admin servers and rule programs."""


def descriptor_limit() -> int:
    """Raise the soft descriptor limit to the hard one and return how many connections fit under it."""
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    return connections_under(hard)


def connections_under(hard: int) -> int:
    """Return how many connections fit under a descriptor limit; each takes two descriptors."""
    return max(16, (hard - RESERVED_DESCRIPTORS) // 2)
