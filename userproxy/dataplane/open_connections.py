"""Connections that have reached an endpoint and may turn out to live long: after a second they get the options of long ones.

Owns their order by age. Not a deadline for each connection: most do not live to see it, and a queue that holds on to the dead
for a second spreads the living over memory that is in no cache.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from userproxy.dataplane.reactor import Reactor

if TYPE_CHECKING:
    from userproxy.dataplane.connection import Connection

SETTLED = 1.0
"""Age in seconds at which a connection gets the socket options of a long one."""
LOOK_SECONDS = 0.25
"""Between two looks for connections of that age."""


class Settling:
    """The connections of one worker that are not settled."""

    __slots__ = ("_looks", "_reactor", "young")

    def __init__(self, reactor: Reactor) -> None:
        self._reactor = reactor
        self.young: dict[Connection, float] = {}
        """when each reached its endpoint, in that order"""
        self._looks = reactor.deadlines(LOOK_SECONDS, Settling._look)

    def add(self, connection: Connection) -> None:
        """Take in a connection that has just reached its endpoint; whoever ends it takes it out of `young`."""
        if not self.young:
            self._looks.add(self)
        self.young[connection] = self._reactor.now

    def _look(self) -> None:
        settled = self._reactor.now - SETTLED
        # A copy, not the first of `young` again and again: a dict finds that by going over all that were deleted before it.
        for connection, since in list(self.young.items()):
            if since > settled:
                self._looks.add(self)
                return
            del self.young[connection]
            connection.settle()
