"""The contract of every balancing method, and round robin, the default.

Owns the order in which endpoints are taken and its survival through changes. Opens nothing, measures nothing: a failed dial is
the caller's knowledge and comes in as the set of endpoints already tried. The other methods are in `core.balancer_load` and
`core.balancer_hash`; session affinity and ejection wrap any of them (`core.affinity`, `core.ejection`).
"""

from __future__ import annotations

from collections.abc import Collection, Iterable
from typing import Protocol

from userproxy.model import Address


class Balancer(Protocol):
    """Chooses among the usable endpoints of one set. One writer and one reader: the worker that owns the Service port.

    `client` is the client's IP text and `now` the monotonic clock in seconds; methods that need neither ignore them.
    """

    def pick(self, client: str = "", now: float = 0.0) -> Address | None:
        """Return the endpoint for a new connection, or None when there is none."""

    def pick_other(self, tried: Collection[Address], client: str = "", now: float = 0.0) -> Address | None:
        """Return the endpoint for a connection that could not reach those in `tried`; None when all were tried."""

    def update(self, endpoints: Collection[Address]) -> None:
        """Replace the endpoints; what is known of those that stay is kept."""

    def upcoming(self) -> tuple[Address, ...]:
        """Return the endpoints, those first that are likely to be picked next, without moving."""


class RoundRobin:
    """An exact ring: k*n picks over n unchanged endpoints give each exactly k, from wherever the ring stands."""

    __slots__ = ("_next", "_ring")

    def __init__(self, endpoints: Iterable[Address] = (), start: int = 0) -> None:
        self._ring: list[Address] = list(endpoints)
        self._next = start % len(self._ring) if self._ring else 0

    def __len__(self) -> int:
        return len(self._ring)

    def pick(self, client: str = "", now: float = 0.0) -> Address | None:
        """Return the endpoint whose turn it is, or None when there is none."""
        ring = self._ring
        index = self._next
        if index >= len(ring):
            if not ring:
                return None
            index = 0
        self._next = index + 1
        return ring[index]

    def pick_other(self, tried: Collection[Address], client: str = "", now: float = 0.0) -> Address | None:
        """Return the next endpoint that is not in `tried`; the turn moves past it. None when all were tried."""
        for _ in range(len(self._ring)):
            endpoint = self.pick()
            if endpoint not in tried:
                return endpoint
        return None

    def move_past(self, endpoint: Address) -> None:
        """Make it the turn of the one after `endpoint`, which is in the ring."""
        self._next = self._ring.index(endpoint) + 1

    def update(self, endpoints: Collection[Address]) -> None:
        """Replace the endpoints. Those that stay keep their order and their turn; new ones join at the end of the round."""
        wanted = set(endpoints)
        stay = [endpoint for endpoint in self.upcoming() if endpoint in wanted]
        known = set(stay)
        self._ring = stay + [endpoint for endpoint in endpoints if endpoint not in known]
        self._next = 0

    def upcoming(self) -> tuple[Address, ...]:
        """Return the endpoints in the order of their turns, without moving."""
        return tuple(self._ring[self._next :] + self._ring[: self._next])
