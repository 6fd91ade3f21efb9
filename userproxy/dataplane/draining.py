"""Draining: resets connections to endpoints that left a Service port, when its time for that is over.

Owns the looks at the clock. Which endpoints are due is decided by `core.draining`; a port that does not drain costs nothing.
"""

from __future__ import annotations

from collections.abc import Collection
from typing import TYPE_CHECKING

from userproxy.core.draining import Draining
from userproxy.dataplane.reactor import Reactor
from userproxy.model import Address

if TYPE_CHECKING:
    from userproxy.dataplane.connection import Connection
    from userproxy.dataplane.service_port import Port

LOOK_SECONDS = 0.25
"""Between two looks; how late a reset may be."""
WHY = "its endpoint left the Service and the time for that is over (userproxy.dev/drain-seconds)"


class Drains:
    """The Service ports of one worker that drain connections. `connections` are all that are open, whatever their port."""

    __slots__ = ("_connections", "_looks", "_ports", "_reactor")

    def __init__(self, reactor: Reactor, connections: Collection[Connection]) -> None:
        self._reactor = reactor
        self._connections = connections
        self._ports: dict[Port, tuple[Draining, float]] = {}
        self._looks = reactor.deadlines(LOOK_SECONDS, self._look)

    def changed(self, port: Port, usable: Collection[Address], seconds: float, now: float) -> None:
        """Take note of the endpoints that a port has now; with negative `seconds` its connections go on for ever."""
        if seconds < 0:
            self._ports.pop(port, None)
            return
        draining = self._ports[port][0] if port in self._ports else Draining()
        in_use = {one.endpoint for one in self._connections if one.port is port and one.endpoint is not None}
        draining.update(frozenset(usable), in_use, now)
        self._ports[port] = draining, seconds
        self._reset_due(port, now)

    def _look(self, port: Port) -> None:
        self._reset_due(port, self._reactor.now)

    def _reset_due(self, port: Port, now: float) -> None:
        if port not in self._ports:
            return
        draining, seconds = self._ports[port]
        due = draining.take_due(seconds, now)
        if due:
            for connection in tuple(self._connections):
                if connection.port is port and connection.endpoint in due:
                    connection.leave_endpoint(WHY)
        if draining:
            self._looks.add(port)
        else:
            del self._ports[port]
