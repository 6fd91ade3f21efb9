"""The sockets of one UDP listener in the control process, and what they show to clients.

Owns one socket for each worker, or, while clients are refused, the one that holds the port. A flow table cannot be shared, so
neither can a socket: the kernel sends each client to always the same one, and a worker that is replaced gets its socket again.
"""

from __future__ import annotations

import logging
import socket
from collections.abc import Sequence

from userproxy.core.networks import DROP_ALL, Instruction, source_filter
from userproxy.core.policy import Route, Verdict
from userproxy.dataplane.sockets import filter_packets, unfilter_packets
from userproxy.dataplane.udp_sockets import close_all, datagram_sockets, refuse
from userproxy.model import Address, family_of

log = logging.getLogger(__name__)


class DatagramGroup:
    """The sockets on one address and port; `sockets` is empty while clients are refused."""

    def __init__(self, address: str, port: int, count: int, route: Route) -> None:
        """Bind. Raises OSError as bind() does, and ValueError for more source ranges than the kernel takes."""
        self.address: Address = (address, port)
        self.sockets: list[socket.socket] = []
        self._count = count
        self._guard: socket.socket | None = None
        """holds the port while clients are refused"""
        self._refusing = False
        if route.verdict is Verdict.REJECT:
            self._refuse(shared=False)
        else:
            self.sockets = datagram_sockets(address, port, count, self._filter(route))

    def show(self, route: Route) -> None:
        """Treat clients as `route` says from now on. Raises OSError, ValueError."""
        if route.verdict is Verdict.REJECT:
            if self._guard is None:
                self._refuse(shared=True)
                close_all(self.sockets)
                self.sockets = []
        elif self._guard is not None:
            self.sockets = datagram_sockets(*self.address, self._count, self._filter(route), shared=True)
            self._guard.close()
            self._guard = None
        else:
            program = self._filter(route)
            for sock in self.sockets:
                if program:
                    filter_packets(sock, program)
                else:
                    unfilter_packets(sock)

    def settle(self) -> bool:
        """Return whether the route is in effect: to refuse takes an address that is local, and is tried again here."""
        if self._guard is not None and not self._refusing:
            try:
                refuse(self._guard)
            except OSError as error:
                log.debug("datagrams to %s are dropped until its address is local: %s", self.address, error)
                return False
            self._refusing = True
        return True

    def close(self) -> None:
        """Close every socket."""
        close_all(self.sockets)
        self.sockets = []
        if self._guard is not None:
            self._guard.close()
            self._guard = None

    def _refuse(self, *, shared: bool) -> None:
        [self._guard] = datagram_sockets(*self.address, 1, DROP_ALL, shared=shared)
        self._refusing = False
        self.settle()

    def _filter(self, route: Route) -> Sequence[Instruction]:
        if route.verdict is Verdict.DROP:
            return DROP_ALL
        return source_filter(route.allowed, family_of(self.address[0])) if route.allowed else ()
