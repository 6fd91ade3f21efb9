"""Records of the connections of one worker: made at their end, kept in two rings, handed over while somebody follows.

Owns what is read from a connection and when. The rings and their sampling are `core.flows`'; where records go is the business
of whoever takes them. A connection costs one call at its end, and no system call; that it was opened is recorded only while
somebody follows, and only when it lives longer than a second.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from userproxy.core.flows import Flow, FlowRing, Outcome

if TYPE_CHECKING:
    from userproxy.dataplane.connection import Connection
    from userproxy.dataplane.udp_flow import UdpFlow


NO_ANSWER = "no answer came"
CLIENT_GONE = "the client went before an endpoint answered"


class FlowRecorder:
    """What happened to the connections of one worker; `size` 0 keeps nothing."""

    __slots__ = ("_carried", "_failed", "following", "size")

    def __init__(self, size: int) -> None:
        self.size = size
        self._carried = FlowRing(size)
        self._failed = FlowRing(size)
        """refused or retried; apart, so that a failure is not lost among thousands that went well"""
        self.following = False
        """whether somebody takes the records as they come"""

    def ended(self, connection: Connection) -> None:
        """Record a connection that is about to end, its legs still there. Not called where `size` is 0."""
        ring = self._carried if connection.carried and not connection.attempts else self._failed
        now = connection.reactor.now
        if ring.skip and now < ring.due:
            ring.skip -= 1
            return
        if not connection.why:
            outcome = Outcome.CLOSED
        elif connection.carried or connection.why == CLIENT_GONE:
            outcome = Outcome.RESET
        else:
            outcome = Outcome.REFUSED
        ring.add(_record(connection, outcome, now, ring.weigh(now)))

    def opened(self, connection: Connection) -> None:
        """Record a connection that is carried and goes on."""
        ring = self._carried
        now = connection.reactor.now
        if ring.skip and now < ring.due:
            ring.skip -= 1
            return
        ring.add(_record(connection, Outcome.OPENED, now, ring.weigh(now)))

    def answered(self, flow: UdpFlow) -> None:
        """Record the first answer to a UDP flow, which goes on."""
        self._add_flow(self._carried, flow, Outcome.OPENED, "")

    def idle(self, flow: UdpFlow, why: str) -> None:
        """Record a UDP flow that ends. Not called where `size` is 0."""
        self._add_flow(self._carried if flow.answered else self._failed, flow, Outcome.CLOSED, why)

    def given_up(self, flow: UdpFlow, why: str) -> None:
        """Record a UDP flow whose endpoints all failed. Not called where `size` is 0."""
        self._add_flow(self._failed, flow, Outcome.REFUSED, why)

    @staticmethod
    def _add_flow(ring: FlowRing, flow: UdpFlow, outcome: Outcome, why: str) -> None:
        now = flow.listener.flows.reactor.now
        if ring.skip and now < ring.due:
            ring.skip -= 1
            return
        key, client = flow.listener.spec.key, flow.client[:2]
        moved = flow.received, flow.sent
        record = Flow(
            key,
            outcome,
            client,
            flow.endpoint,
            flow.begun,
            now,
            flow.begun,
            *moved,
            flow.tried,
            why,
            ring.weigh(now),
        )
        ring.add(record)

    def take(self) -> tuple[tuple[Flow, ...], int]:
        """Return all records in the order of time, and how many were lost since the last time; both are forgotten."""
        carried, lost = self._carried.take()
        failed, more = self._failed.take()
        if failed:
            carried = sorted(carried + failed, key=_time)
        return tuple(carried), lost + more


def _record(connection: Connection, outcome: Outcome, now: float, weight: int) -> Flow:
    client, server = connection.client, connection.server
    return Flow(
        connection.port.key,
        outcome,
        connection.peer_address[:2],
        connection.endpoint,
        connection.opened,
        now,
        connection.dial_started,
        client.moved if client is not None else 0,
        server.moved if server is not None else 0,
        connection.tried,
        connection.why or connection.failure if connection.attempts else connection.why,
        weight,
    )


def _time(record: Flow) -> float:
    return record.at
