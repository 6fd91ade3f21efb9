"""The connections of one worker that are open, by age: after a second, those that still live get the options of long ones.

Owns which are open and when they are settled. Not a deadline for each connection: most do not live to see it, and a queue that
holds on to the dead for a second spreads the living over memory that is in no cache.
"""

from __future__ import annotations

from collections.abc import Iterator
from itertools import chain
from typing import TYPE_CHECKING

from userproxy.dataplane.reactor import Reactor

if TYPE_CHECKING:
    from userproxy.dataplane.connection import Connection

SETTLED = 1.0
"""Age in seconds at which a connection gets the socket options of a long one."""
LOOK_SECONDS = 0.25
"""Between two looks for connections of that age."""


class ConnectionsByAge:
    """The open connections of one worker; each is in one of two collections, for one write at its begin and one at its end."""

    __slots__ = ("_looks", "_reactor", "_settled", "_young")

    def __init__(self, reactor: Reactor) -> None:
        self._reactor = reactor
        self._young: dict[Connection, float] = {}
        """when each was accepted, in that order"""
        self._settled: set[Connection] = set()
        self._looks = reactor.deadlines(LOOK_SECONDS, ConnectionsByAge._look)

    def __len__(self) -> int:
        return len(self._young) + len(self._settled)

    def __iter__(self) -> Iterator[Connection]:
        return chain(self._settled, self._young)

    def __contains__(self, connection: object) -> bool:
        return connection in self._young or connection in self._settled

    def looked_at(self, connection: Connection) -> bool:
        """Whether the time to settle this open connection has come already: `settle` is called once."""
        return connection in self._settled

    def add(self, connection: Connection) -> None:
        """Take in a connection that was just accepted."""
        young = self._young
        if not young:
            self._looks.add(self)
        young[connection] = self._reactor.now

    def remove(self, connection: Connection) -> None:
        """Forget a connection that is over."""
        if self._young.pop(connection, None) is None:
            self._settled.discard(connection)

    def _look(self) -> None:
        settled = self._reactor.now - SETTLED
        # A copy, not the first of `_young` again and again: a dict finds that by going over all that were deleted before it.
        for connection, since in list(self._young.items()):
            if since > settled:
                self._looks.add(self)
                return
            if self._young.pop(connection, None) is not None:
                self._settled.add(connection)
                connection.settle()
