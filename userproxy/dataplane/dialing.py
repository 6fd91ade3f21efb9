"""The way of a connection to an endpoint: attempt after attempt, each with its deadline, until one succeeds or none is left.

Owns the order of attempts, their times and what is counted of them. One attempt is `dataplane.attempt`'s, which endpoint is
next the balancer's. Nothing that the client said is lost before an endpoint took it; once `carried` this module is done.
"""

from __future__ import annotations

import errno
import logging
from bisect import bisect_left
from typing import TYPE_CHECKING

from userproxy.core.addresses import address_text
from userproxy.core.counters import DIAL_BUCKETS
from userproxy.dataplane.announcing import announce, push
from userproxy.dataplane.attempt import BLAMED, OUT_OF_DESCRIPTORS, attempt, count_failure
from userproxy.dataplane.relay import EDGE, EDGE_WRITE, SMALL, Leg
from userproxy.model import Address

if TYPE_CHECKING:
    from userproxy.dataplane.connection import Connection

log = logging.getLogger(__name__)

DIAL_DEADLINES = (0.25, 0.5, 1.0, 2.0)
"""Seconds for each attempt, as in kube-proxy's userspace mode (pkg/proxy/userspace/proxysocket.go); then the last one again."""
MAX_ATTEMPTS = 16
"""Endpoints tried for one connection when there are more than four and they fail at once."""
DIAL_SECONDS = sum(DIAL_DEADLINES)
"""After this time a connection gives up, whatever is left to try."""


def dial(connection: Connection, endpoint: Address | None) -> None:
    """Try endpoints, `endpoint` first, until one connects or is under way; with none left the client is reset."""
    client, reactor = connection.client, connection.reactor
    if client is None:
        return
    early = client.tail
    while endpoint is not None:
        connection.endpoint = endpoint
        connection.dial_started = reactor.now
        sock, code, sent = attempt(connection.port, endpoint, early, connection.source)
        if sock is not None:
            server = Leg(connection, sock, sock.fileno(), False)
            connection.prompt = len(early) > SMALL
            connection.server = client.peer = server
            server.peer = client
            outcomes = connection.port.outcomes
            if outcomes is not None:
                outcomes.opened(endpoint)
            reactor.targets[server.fd] = server
            if code:
                _wait(connection, server)
            else:
                reactor.epoll.register(server.fd, EDGE)
                connected(connection, client, server, sent)
            return
        if code in OUT_OF_DESCRIPTORS:
            connection.acceptor.out_of_descriptors(code)
        endpoint = _next_endpoint(connection, code)
    _refuse(connection)


def connected(connection: Connection, client: Leg, server: Leg, sent: int) -> None:
    """An endpoint is reached; `sent` bytes of what was read from the client are on their way to it, -1: not tried."""
    port = connection.port
    if port.proxy_protocol:
        failure = announce(connection, client, server)
        if failure:
            failed(connection, failure)
            return
    connection.carried = True
    counters = connection.counters
    counters.carried += 1
    now = connection.reactor.now
    if now > connection.dial_started:
        seconds = now - connection.dial_started
        counters.dial_seconds += seconds
        counters.dial_buckets[bisect_left(DIAL_BUCKETS, seconds)] += 1
        if connection.acceptor.connections.looked_at(connection):
            connection.settle()
    else:
        # Within one turn of the reactor, as an endpoint on this node mostly is.
        counters.dial_buckets[0] += 1
    outcomes = port.outcomes
    if outcomes is not None and connection.endpoint is not None:
        outcomes.reached(connection.endpoint)
    if port.proxy_protocol:
        client.pump()
        push(connection, client)
    else:
        client.begin(server, sent)


def failed(connection: Connection, code: int) -> None:
    """The attempt under way has failed with an errno: go on to the next endpoint."""
    connection.drop_dial()
    dial(connection, _next_endpoint(connection, code))


def expired(connection: Connection) -> None:
    """A deadline of this connection is over; it may be that of an attempt that is past."""
    if not connection.closed and not connection.carried and connection.reactor.now >= connection.deadline:
        failed(connection, errno.ETIMEDOUT)


def _wait(connection: Connection, server: Leg) -> None:
    """Wait until the endpoint has answered, no longer than this attempt may last."""
    server.watched = EDGE_WRITE
    connection.reactor.epoll.register(server.fd, EDGE_WRITE)
    deadlines = connection.acceptor.dial_deadline(connection.attempts)
    connection.deadline = connection.reactor.now + deadlines.seconds
    deadlines.add(connection)


def _next_endpoint(connection: Connection, code: int) -> Address | None:
    """Count a failed attempt and return the endpoint to try next, None to give up."""
    counters = connection.counters
    connection.failure = count_failure(counters, code)
    connection.attempts += 1
    client, now, outcomes = connection.peer_address[0], connection.reactor.now, connection.port.outcomes
    if connection.endpoint is not None:
        connection.tried = (*connection.tried, connection.endpoint)
        if outcomes is not None and code in BLAMED:
            outcomes.failed(connection.endpoint, now)
    balancer = connection.balancer
    late = now - connection.opened >= DIAL_SECONDS
    if late or connection.attempts >= MAX_ATTEMPTS or code in OUT_OF_DESCRIPTORS:
        return None
    endpoint = balancer.pick_other(connection.tried, client, now)
    if endpoint is None and connection.attempts < len(DIAL_DEADLINES):
        connection.tried = ()
        endpoint = balancer.pick(client, now)
    if endpoint is not None:
        counters.retries += 1
    return endpoint


def _refuse(connection: Connection) -> None:
    """Reset a client that no endpoint takes."""
    connection.counters.failed += 1
    reason = connection.failure if connection.attempts else "no usable endpoint"
    if log.isEnabledFor(logging.DEBUG):
        endpoint = connection.endpoint
        fields = {
            "service": str(connection.port.key.name),
            "client": address_text(connection.peer_address[:2]),
            "endpoint": address_text(endpoint) if endpoint else "",
        }
        log.debug("a connection is refused: %s", reason, extra=fields)
    connection.reset(reason)
