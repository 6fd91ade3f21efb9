"""Telling an endpoint who its client is: the PROXY protocol header in front of everything else.

Owns when and how the header is sent, for Service ports that ask for it; its bytes are `core.proxy_protocol`'s. It leaves in one
segment with what the client has said so far, and at once where the client says nothing (a server may speak first, but many wait
for the header). Each dial sends it anew, so nothing is lost when an endpoint fails and the next one is tried.
"""

from __future__ import annotations

import _socket
from typing import TYPE_CHECKING

from userproxy.core.proxy_protocol import header
from userproxy.dataplane.sockets import original_destination

if TYPE_CHECKING:
    from userproxy.dataplane.connection import Connection
    from userproxy.dataplane.relay import Leg

_WAIT_FOR_MORE = _socket.MSG_DONTWAIT | _socket.MSG_MORE


def announce(connection: Connection, client: Leg, server: Leg) -> int:
    """Send the header to an endpoint that has just connected. Returns 0, or the errno of a failure: then dial another one."""
    port = connection.port
    # Where nothing translated the destination this is the listener's own address, with and without connection tracking.
    target = original_destination(client.sock, port.key.family) or client.sock.getsockname()
    data = header(port.proxy_protocol, connection.peer_address, target)
    try:
        sent = server.sock.send(data, _WAIT_FOR_MORE)
    except BlockingIOError:
        sent = 0
    except OSError as error:
        return error.errno or -1
    if sent < len(data):
        # As with any bytes that the peer could not take yet: the client is not read before they are out.
        client.tail = data[sent:]
        server.watch_writable()
    return 0


def push(connection: Connection, client: Leg) -> None:
    """Let a header go that waits for bytes of a client that has none: TCP_NODELAY sends what is held back (tcp(7))."""
    if not client.moved and not client.ended and not connection.closed:
        connection.be_prompt()
