"""A look into one worker: connections open there, and whose turn it is in a Service port's rings.

Owns the values that come back. Taking the look is `dataplane.inspection`'s work. Times are seconds of the monotonic clock,
which is the same in all processes of a host.
"""

from __future__ import annotations

import msgspec

from userproxy.model import Address, PortKey


class OpenConnection(msgspec.Struct, frozen=True, array_like=True, gc=False):
    """A connection or UDP flow that is open now."""

    key: PortKey
    client: Address
    endpoint: Address | None
    """the one that carries it or is being dialled"""
    opened: float
    carried: bool
    """whether an endpoint has taken the connection, or has answered the flow"""
    received: int
    """bytes from the client; not counted for a UDP flow"""
    sent: int
    """bytes to the client"""


class Inspection(msgspec.Struct, frozen=True, array_like=True, gc=False):
    """What one worker holds."""

    worker: int
    cluster: tuple[Address, ...] = ()
    """endpoints of the whole cluster in the order of their turns, for the Service port asked for"""
    local: tuple[Address, ...] = ()
    """the same of this node's endpoints"""
    connections: tuple[OpenConnection, ...] = ()
    """the newest ones first"""
    open: int = 0
    """connections open, whether listed or not"""
