"""Looking into an acceptor for people: its newest connections, and the turns of one Service port.

Owns the reading and its bound. Done on demand only; ten thousand open connections take some 10 ms to go through.
"""

from __future__ import annotations

import heapq
from operator import attrgetter
from typing import TYPE_CHECKING

from userproxy.core.inspection import Inspection, OpenConnection
from userproxy.model import PortKey

if TYPE_CHECKING:
    from userproxy.dataplane.acceptor import Acceptor
    from userproxy.dataplane.connection import Connection
    from userproxy.dataplane.udp_flow import UdpFlow

MOST = 1000
"""Connections that one worker lists, and as many UDP flows."""

_opened = attrgetter("opened")
_begun = attrgetter("begun")


def inspect(acceptor: Acceptor, worker: int, key: PortKey | None, limit: int) -> Inspection:
    """Return up to `limit` of the newest connections, and the turns of Service port `key` (None: of none)."""
    port = acceptor.ports.get(key) if key is not None else None
    most, flows = min(limit, MOST), acceptor.udp_flows
    newest = [_view(one) for one in heapq.nlargest(most, acceptor.connections, key=_opened)]
    newest += [_flow_view(one) for one in heapq.nlargest(most, flows.all(), key=_begun)]
    return Inspection(
        worker,
        port.balancer.upcoming() if port else (),
        port.local.upcoming() if port else (),
        tuple(newest),
        len(acceptor.connections) + len(flows),
    )


def _view(connection: Connection) -> OpenConnection:
    client, server = connection.client, connection.server
    return OpenConnection(
        connection.port.key,
        connection.peer_address[:2],
        connection.endpoint,
        connection.opened,
        connection.carried,
        client.moved if client is not None else 0,
        server.moved if server is not None else 0,
    )


def _flow_view(flow: UdpFlow) -> OpenConnection:
    key = flow.listener.port.key
    moved = flow.received, flow.sent
    return OpenConnection(key, flow.client[:2], flow.endpoint, flow.begun, flow.answered, *moved)
