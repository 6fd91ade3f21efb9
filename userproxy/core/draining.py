"""Draining: connections to endpoints that left the usable sets end after a time.

Owns which endpoints left and when. Which connections there are, and resetting them, is `dataplane.acceptor`'s work.
"""

from __future__ import annotations

from collections.abc import Set as AbstractSet

from userproxy.model import Address


class Draining:
    """The endpoints of one Service port that left while connections to them were open. Moments in seconds, monotonic."""

    __slots__ = ("_left",)

    def __init__(self) -> None:
        self._left: dict[Address, float] = {}

    def __bool__(self) -> bool:
        return bool(self._left)

    def update(self, usable: AbstractSet[Address], in_use: AbstractSet[Address], now: float) -> None:
        """Note those of `in_use` that are not `usable`, since when; one that is usable again is forgotten."""
        self._left = {one: self._left.get(one, now) for one in in_use - usable}

    def take_due(self, seconds: float, now: float) -> frozenset[Address]:
        """Return the endpoints that left `seconds` ago or earlier, and forget them."""
        due = frozenset(one for one, left in self._left.items() if now - left >= seconds)
        for one in due:
            del self._left[one]
        return due
