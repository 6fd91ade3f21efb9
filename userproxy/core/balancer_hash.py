"""Balancing by the client's address: the same endpoint from every worker and every node, without any memory.

Owns the hashing. Rendezvous hashing (highest random weight: Thaler and Ravishankar, IEEE/ACM ToN 6(1), 1998): when an endpoint
leaves only its own clients move, and one that joins takes its share from all alike.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable
from hashlib import blake2b

from userproxy.model import Address

_PRIME = (1 << 61) - 1
"""A Mersenne prime: products modulo it are spread evenly, and one costs 50 ns where a digest of both would cost 1 µs."""


def number_of(text: str) -> int:
    """Return a number from 1 up to the prime that stands for `text`, the same in every process."""
    digest = blake2b(text.encode(), digest_size=8).digest()
    return int.from_bytes(digest, "big") % (_PRIME - 1) + 1


class SourceHash:
    """For each client the endpoint that weighs most for it. The order in which endpoints are given does not matter.

    A pick looks at every endpoint: 10 µs for a hundred.
    """

    __slots__ = ("_endpoints", "_numbers")

    def __init__(self, endpoints: Iterable[Address] = ()) -> None:
        self._endpoints: list[Address] = []
        self._numbers: list[int] = []
        self.update(tuple(endpoints))

    def pick(self, client: str = "", now: float = 0.0) -> Address | None:
        """Return the endpoint of `client`, or None when there is none."""
        return self._heaviest(self._endpoints, self._numbers, client)

    def pick_other(self, tried: Collection[Address], client: str = "", now: float = 0.0) -> Address | None:
        """Return the one that weighs most for `client` and is not in `tried`; None when all were tried."""
        left = [index for index, one in enumerate(self._endpoints) if one not in tried]
        endpoints = [self._endpoints[index] for index in left]
        return self._heaviest(endpoints, [self._numbers[index] for index in left], client)

    def update(self, endpoints: Collection[Address]) -> None:
        """Replace the endpoints."""
        known = dict(zip(self._endpoints, self._numbers, strict=True))
        self._endpoints = list(endpoints)
        self._numbers = [known.get(one) or number_of(f"{one[0]} {one[1]}") for one in self._endpoints]

    def upcoming(self) -> tuple[Address, ...]:
        """Return the endpoints; which is picked next depends on the client alone."""
        return tuple(self._endpoints)

    @staticmethod
    def _heaviest(endpoints: list[Address], numbers: list[int], client: str) -> Address | None:
        if not endpoints:
            return None
        factor = number_of(client)
        weights = [factor * number % _PRIME for number in numbers]
        return endpoints[weights.index(max(weights))]
