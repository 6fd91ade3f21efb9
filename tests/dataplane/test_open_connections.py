"""Which connections are open, which of them are settled, and when."""

from __future__ import annotations

from typing import Any, cast

from userproxy.dataplane.open_connections import LOOK_SECONDS, SETTLED, ConnectionsByAge
from userproxy.dataplane.reactor import Reactor


class Young:
    """Stands where a connection does; knows when it was settled."""

    def __init__(self, reactor: Reactor) -> None:
        self._reactor = reactor
        self.settled_at: float | None = None

    def settle(self) -> None:
        assert self.settled_at is None
        self.settled_at = self._reactor.now


def test_those_that_live_are_settled_once_and_soon_after_their_second() -> None:
    reactor = Reactor()
    connections = ConnectionsByAge(reactor)
    reactor.now = begin = 100.0
    made: list[tuple[float, Young]] = []
    for number in range(40):
        now = begin + number / 10
        step(reactor, now)
        connection = Young(reactor)
        connections.add(cast(Any, connection))
        assert connection in connections
        if number % 3:
            made.append((now, connection))
        else:
            connections.remove(cast(Any, connection))
            assert connection not in connections
    for number in range(40, 80):
        step(reactor, begin + number / 10)
    for since, connection in made:
        assert connection.settled_at is not None
        assert SETTLED <= connection.settled_at - since + 1e-6 < SETTLED + LOOK_SECONDS + 0.2
    assert set(cast(Any, connections)) == {connection for _, connection in made}
    for left, (_, connection) in enumerate(made, 1):
        connections.remove(cast(Any, connection))
        assert len(connections) == len(made) - left
    reactor.close()


def step(reactor: Reactor, now: float) -> None:
    """Let the clock be `now` and look at the deadlines."""
    reactor.now = now
    reactor._look_at_deadlines()
