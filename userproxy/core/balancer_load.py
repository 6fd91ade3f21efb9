"""Balancing by open connections: least-connections and random-two, and the counts they read.

Owns the choice. The counts are of one worker and one Service port, both of its sets together; whoever opens and closes
connections tells them. Randomness comes in as an argument.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Mapping

from userproxy.core.balancer import RoundRobin
from userproxy.model import Address


class OpenConnections(dict[Address, int]):
    """How many connections are open, or being dialled, to each endpoint; 0, and no memory, for any other."""

    __slots__ = ()

    def __missing__(self, endpoint: Address) -> int:
        return 0

    def opened(self, endpoint: Address) -> None:
        """Count a connection that is dialled to `endpoint`."""
        self[endpoint] += 1

    def closed(self, endpoint: Address) -> None:
        """Count its end, or that the dial failed."""
        left = self[endpoint] - 1
        if left > 0:
            self[endpoint] = left
        else:
            self.pop(endpoint, None)


class LeastConnections:
    """The endpoint with the fewest open connections; among equals the one whose turn comes first in the ring.

    A pick looks at every endpoint: 10 µs for a hundred.
    """

    __slots__ = ("_open", "_turns")

    def __init__(
        self, open_: Mapping[Address, int], endpoints: Iterable[Address] = (), start: int = 0
    ) -> None:
        self._open = open_
        self._turns = RoundRobin(endpoints, start)

    def pick(self, client: str = "", now: float = 0.0) -> Address | None:
        """Return the endpoint with the fewest connections, or None when there is none."""
        return self.pick_other(())

    def pick_other(self, tried: Collection[Address], client: str = "", now: float = 0.0) -> Address | None:
        """Return the one with the fewest connections that is not in `tried`; None when all were tried."""
        left = [one for one in self._turns.upcoming() if one not in tried]
        if not left:
            return None
        endpoint = min(left, key=self._open.__getitem__)
        self._turns.move_past(endpoint)
        return endpoint

    def update(self, endpoints: Collection[Address]) -> None:
        """Replace the endpoints; those that stay keep their turn."""
        self._turns.update(endpoints)

    def upcoming(self) -> tuple[Address, ...]:
        """Return the endpoints in the order in which they would be picked if no connection ended."""
        return tuple(sorted(self._turns.upcoming(), key=self._open.__getitem__))


class RandomTwo:
    """The power of two choices: of two endpoints drawn at random the one with fewer open connections.

    `draw` returns a random number from 0 up to, not including, 1. Equal counts: the one drawn first, so that idle endpoints
    get equal shares. Source: Mitzenmacher, "The Power of Two Choices in Randomized Load Balancing", 2001.
    """

    __slots__ = ("_draw", "_endpoints", "_open")

    def __init__(
        self, open_: Mapping[Address, int], draw: Callable[[], float], endpoints: Iterable[Address] = ()
    ) -> None:
        self._open = open_
        self._draw = draw
        self._endpoints = list(endpoints)

    def pick(self, client: str = "", now: float = 0.0) -> Address | None:
        """Return the better of two, or None when there is no endpoint."""
        return self._better(self._endpoints)

    def pick_other(self, tried: Collection[Address], client: str = "", now: float = 0.0) -> Address | None:
        """Return the better of two that are not in `tried`; None when all were tried."""
        return self._better([one for one in self._endpoints if one not in tried])

    def update(self, endpoints: Collection[Address]) -> None:
        """Replace the endpoints."""
        self._endpoints = list(endpoints)

    def upcoming(self) -> tuple[Address, ...]:
        """Return the endpoints, those with few open connections first: an order of likelihood only."""
        return tuple(sorted(self._endpoints, key=self._open.__getitem__))

    def _better(self, endpoints: list[Address]) -> Address | None:
        count = len(endpoints)
        if count < 2:
            return endpoints[0] if endpoints else None
        first = int(self._draw() * count)
        second = int(self._draw() * (count - 1))
        one, other = endpoints[first], endpoints[second + (second >= first)]
        return other if self._open[other] < self._open[one] else one
