"""Whether addresses, links, routes or routing rules of this network namespace may have changed.

Owns one netlink socket that listens to the kernel's notifications and throws their contents away: it answers "look
again" or "nothing happened", so that a look every few seconds costs nothing on a quiet host.
"""

from __future__ import annotations

import socket
import weakref

from userproxy.capture.netlink import NETLINK_ROUTE

_GROUPS = 0x1 | 0x10 | 0x40 | 0x80 | 0x100 | 0x400 | 0x40000
"""RTMGRP_LINK, IPV4_IFADDR, IPV4_ROUTE, IPV4_RULE, IPV6_IFADDR, IPV6_ROUTE and RTNLGRP_IPV6_RULE (as 1 << 18).

Links are needed because IPv4 routes that vanish with their link are not announced.
"""

_BUFFER = 4096
"""Bytes. Small on purpose: that something came is all we want, and an overflow says so too."""
_READS = 1024


class RouteMonitor:
    """Says whether anything changed since it was last settled. Its socket is closed when the object is collected."""

    def __init__(self) -> None:
        self._socket: socket.socket | None = None
        self._changed = True

    def changed(self) -> bool:
        """Return whether something may have changed; true until `settled` is called, so that a failed look is repeated."""
        if self._socket is None:
            self._socket = self._open()
            self._changed = True
        else:
            self._changed = self._drain(self._socket) or self._changed
        return self._changed

    def settled(self) -> None:
        """Take note that all was looked at and put right since `changed` was called."""
        self._changed = False

    def _drain(self, opened: socket.socket) -> bool:
        changed = False
        for _ in range(_READS):
            try:
                changed = bool(opened.recv(1)) or changed
            except BlockingIOError:
                break
            except OSError:  # ENOBUFS: more happened than the buffer holds
                changed = True
        return changed

    def _open(self) -> socket.socket | None:
        try:
            opened = socket.socket(
                socket.AF_NETLINK, socket.SOCK_RAW | socket.SOCK_CLOEXEC | socket.SOCK_NONBLOCK, NETLINK_ROUTE
            )
        except OSError:  # without notifications every look is a full one
            return None
        # Capture may be left in place at the end (no teardown), so the socket goes with the object that asks.
        weakref.finalize(self, opened.close)
        try:
            opened.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, _BUFFER)
            opened.bind((0, _GROUPS))
        except OSError:
            opened.close()
            return None
        return opened
