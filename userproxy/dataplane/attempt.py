"""One attempt to reach an endpoint: its socket, connect(), the first bytes, and the names of what can go wrong.

Owns the short cuts for a client that has spoken already: the handshake's last ACK goes with its bytes, and an endpoint on this
node gets them right after connect(). Which endpoint is tried, and what follows a failure, is `dataplane.dialing`'s business.
"""

from __future__ import annotations

import _socket
import errno
from typing import TYPE_CHECKING

from userproxy.core.counters import PortCounters
from userproxy.dataplane.relay import SMALL
from userproxy.dataplane.transparent import bind_source
from userproxy.model import Address

if TYPE_CHECKING:
    from userproxy.dataplane.service_port import Port

LONGEST_REST = 62
"""Connections of a Service port for which a short cut is not tried that never worked lately."""

_DONTWAIT = _socket.MSG_DONTWAIT
_INET, _INET6 = _socket.AF_INET, _socket.AF_INET6
_TCP, _QUICKACK, _NODELAY = _socket.IPPROTO_TCP, _socket.TCP_QUICKACK, _socket.TCP_NODELAY
_IN_PROGRESS = errno.EINPROGRESS
_STREAM = _socket.SOCK_STREAM | _socket.SOCK_NONBLOCK
_REFUSED = frozenset({errno.ECONNREFUSED, errno.ECONNRESET})
_UNREACHABLE = frozenset(
    {errno.EHOSTUNREACH, errno.ENETUNREACH, errno.EHOSTDOWN, errno.ENETDOWN, errno.EADDRNOTAVAIL}
)
OUT_OF_DESCRIPTORS = frozenset({errno.EMFILE, errno.ENFILE})
"""Failures that no other endpoint mends."""
BLAMED = (_REFUSED | _UNREACHABLE | {errno.ETIMEDOUT}) - {errno.EADDRNOTAVAIL}
"""Failures that are the endpoint's; all others are ours, such as port numbers that ran out."""


class ShortCut:
    """A system call that saves others when it works, which mostly it does, and that costs an exception when it does not.

    Its value is some four times that cost, so it rests only after it failed twice in a row: for 2 connections, then 6, 14...
    """

    __slots__ = ("failures", "rest")

    def __init__(self) -> None:
        self.failures = 0
        """in a row; whoever sees it work sets this to 0"""
        self.rest = 0
        """connections for which it is not to be tried; whoever does not try counts down"""

    def failed(self) -> None:
        """It had to be taken back."""
        self.failures += 1
        self.rest = min(2**self.failures - 2, LONGEST_REST)


def attempt(
    port: Port, endpoint: Address, early: bytes, source: str
) -> tuple[_socket.socket | None, int, int]:
    """Connect, from the address `source` if there is one, and try to send `early` where the endpoint may be on this node.

    Returns the socket, None after a failure; 0 when it is connected, EINPROGRESS, or the errno of the failure; and how much of
    `early` was sent, -1: not tried.
    """
    sock = None
    try:
        sock = _socket.socket(_INET6 if ":" in endpoint[0] else _INET, _STREAM)
        if early:
            # The ACK of the handshake goes with these bytes, instead of before them in a segment of its own (tcp(7)).
            sock.setsockopt(_TCP, _QUICKACK, 0)
            if len(early) > SMALL:
                sock.setsockopt(_TCP, _NODELAY, 1)
        if source:
            bind_source(sock, source, endpoint[0])
        code = sock.connect_ex(endpoint)
        if code != _IN_PROGRESS:
            if code:
                sock.close()
                return None, code, -1
            return sock, 0, -1
        if not early:
            return sock, _IN_PROGRESS, -1
        at_once = port.send_at_once
        if at_once.rest:
            at_once.rest -= 1
            return sock, _IN_PROGRESS, -1
        # An endpoint on this node is connected by now, whatever connect() says.
        sent = sock.send(early, _DONTWAIT)
        at_once.failures = 0
        return sock, 0, sent
    except BlockingIOError:
        port.send_at_once.failed()
        return sock, _IN_PROGRESS, -1
    except OSError as error:
        if sock is not None:
            sock.close()
        return None, error.errno or errno.EINVAL, -1


def count_failure(counters: PortCounters, code: int) -> str:
    """Count a failed attempt; returns what to call it."""
    if code in _REFUSED:
        counters.dial_refused += 1
        return "connection refused"
    if code == errno.ETIMEDOUT:
        counters.dial_timeout += 1
        return "no answer in time"
    if code in _UNREACHABLE:
        counters.dial_unreachable += 1
        return "unreachable"
    counters.dial_other += 1
    return errno.errorcode.get(code, "failed")
