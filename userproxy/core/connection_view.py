"""Open connections as the `/connections` answer shows them.

Owns the shape (JSON keys are the field names) and the merge over workers. Looking into workers is `dataplane`'s work.
"""

from __future__ import annotations

from collections.abc import Iterable

import msgspec

from userproxy.core.addresses import address_text
from userproxy.core.inspection import Inspection

_STATES = {
    (False, False): "dialling",
    (False, True): "carried",
    (True, False): "unanswered",
    (True, True): "answered",
}


class ConnectionView(msgspec.Struct, frozen=True):
    """One connection. `age` is in seconds; `endpoint` is empty before one was dialled."""

    namespace: str
    service: str
    port: str
    protocol: str
    client: str
    endpoint: str
    state: str
    """`dialling` or `carried`; of a UDP flow `unanswered` or `answered`"""
    age: float
    received: int
    """bytes from the client"""
    sent: int
    """bytes to the client"""
    worker: int


class ConnectionsView(msgspec.Struct, frozen=True):
    """The whole answer: how many are open, and the newest of them first."""

    open: int
    connections: tuple[ConnectionView, ...]


def connections_view(
    inspections: Iterable[Inspection], now: float, limit: int, namespace: str = "", service: str = ""
) -> ConnectionsView:
    """Return up to `limit` connections of all workers; of one namespace or Service where one is named."""
    total = 0
    found = []
    for one in inspections:
        total += one.open
        for connection in one.connections:
            name = connection.key.name
            if namespace in ("", name.namespace) and service in ("", name.name):
                found.append((connection, one.worker))
    found.sort(key=lambda item: item[0].opened, reverse=True)
    views = tuple(
        ConnectionView(
            connection.key.name.namespace,
            connection.key.name.name,
            connection.key.name.port,
            connection.key.name.protocol,
            address_text(connection.client),
            address_text(connection.endpoint) if connection.endpoint else "",
            _STATES[connection.key.name.protocol == "UDP", connection.carried],
            round(max(0.0, now - connection.opened), 3),
            connection.received,
            connection.sent,
            worker,
        )
        for connection, worker in found[:limit]
    )
    return ConnectionsView(total, views)
