"""Dialling from the client's own address (IP_TRANSPARENT, ip(7)), so that endpoints see who their client is.

Owns for which connections that is right, and the socket options. The way back of the answers is `capture.transparent`'s. The
port number is a new one: the client may have a connection of its own to the endpoint from the same port.

The address is kept where kube-proxy keeps it, which is also where answers come by this host: for clients of the ClusterIP (they
are on this node), and for clients from outside when endpoints of this node only are used (externalTrafficPolicy: Local).
"""

from __future__ import annotations

import _socket
import functools
import socket
from typing import TYPE_CHECKING

from userproxy.model import Address, Scope

if TYPE_CHECKING:
    from userproxy.dataplane.tcp_listener import Listener

_IP_TRANSPARENT, _IPV6_TRANSPARENT = 19, 75
_IP_BIND_ADDRESS_NO_PORT = 24
"""The port is chosen by connect(), so one is free as long as the whole pair of addresses is (ip(7))."""
_LOOPBACK = ("127.", "::1")


def client_source(listener: Listener, peer: Address, *, local_endpoints: bool) -> str:
    """Return the address that endpoints shall see of a client, empty for the proxy's own."""
    host = peer[0]
    if host.startswith(_LOOPBACK) or "%" in host:
        return ""
    return host if local_endpoints or listener.spec.scope is Scope.INTERNAL else ""


def bind_source(sock: _socket.socket, source: str, endpoint: str) -> None:
    """Let `sock` dial `endpoint` from `source`. Raises OSError (EPERM: this process may not).

    Left as it is when the endpoint is the client itself (a host refuses packets from its own address), when it is an address of
    this host (its answers would go to the client without coming by us), and when the client is this host: the kernel chooses
    an address that the endpoint can answer to, where a client of a local route has the ClusterIP as its own.
    """
    if source == endpoint or is_own(endpoint) or is_own(source):
        return
    if ":" in source:
        sock.setsockopt(_socket.IPPROTO_IPV6, _IPV6_TRANSPARENT, 1)
    else:
        sock.setsockopt(_socket.IPPROTO_IP, _IP_TRANSPARENT, 1)
    sock.setsockopt(_socket.IPPROTO_IP, _IP_BIND_ADDRESS_NO_PORT, 1)
    sock.bind((source, 0))


@functools.lru_cache(maxsize=4096)
def is_own(address: str) -> bool:
    """Whether `address` is one of this host's: the route to it begins with itself. Sends nothing."""
    family = socket.AF_INET6 if ":" in address else socket.AF_INET
    with socket.socket(family, socket.SOCK_DGRAM) as trial:
        try:
            trial.connect((address, 9))
        except OSError:
            return False
        return bool(trial.getsockname()[0] == address)
