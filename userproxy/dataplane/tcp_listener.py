"""A listening TCP socket of one worker: takes the connections that wait at it, as many as may be taken.

Owns registration and the batch. Sockets are opened, silenced and closed by `dataplane.listeners`; what becomes of a connection,
and how long a listener rests, is `dataplane.acceptor`'s.
"""

from __future__ import annotations

import _socket
import errno
import select
import socket
from typing import TYPE_CHECKING

from userproxy.core.balancer import Balancer
from userproxy.core.networks import contains
from userproxy.model import Address, ListenerSpec

if TYPE_CHECKING:
    from userproxy.dataplane.acceptor import Acceptor
    from userproxy.dataplane.service_port import Port

ACCEPT_BATCH = 64
"""Connections taken from one listener before others get their turn."""

LISTEN_EVENTS = select.EPOLLIN | select.EPOLLEXCLUSIVE
_NO_DESCRIPTORS = frozenset({errno.EMFILE, errno.ENFILE, errno.ENOBUFS, errno.ENOMEM})
_STREAM = _socket.SOCK_STREAM


class Listener:
    """A registered listening socket. Level-triggered and exclusive, so workers that share it are not all woken."""

    __slots__ = ("acceptor", "balancer", "everywhere", "family", "parked", "port", "sock", "spec")

    def __init__(self, acceptor: Acceptor, spec: ListenerSpec, sock: socket.socket, port: Port) -> None:
        self.acceptor = acceptor
        self.spec = spec
        self.sock = sock
        self.family = sock.family
        self.port = port
        self.parked = True
        self.balancer = port.balancer
        self.everywhere: tuple[str, ...] = ()
        """networks of clients that take the port's whole ring although this listener's own is the local one"""
        self.follow_route()

    def __repr__(self) -> str:
        return f"<Listener {self.spec.key} on {self.spec.address}>"

    def follow_route(self) -> None:
        """Take the ring that the route of this listener's scope names."""
        route = self.port.route(self.spec.scope)
        local = route is not None and route.local
        self.balancer = self.port.local if local else self.port.balancer
        self.everywhere = route.everywhere if route is not None and local else ()

    def balancer_of(self, peer: Address) -> Balancer:
        """Return the ring that a client at `peer` takes."""
        if self.everywhere and contains(self.everywhere, peer[0]):
            return self.port.balancer
        return self.balancer

    def register(self) -> None:
        """Take connections from now on."""
        if self.parked:
            reactor, descriptor = self.acceptor.reactor, self.sock.fileno()
            reactor.targets[descriptor] = self
            reactor.epoll.register(descriptor, LISTEN_EVENTS)
            self.parked = False

    def take_over(self) -> None:
        """Get the events of the socket, which the reactor watches for another target already."""
        self.acceptor.reactor.targets[self.sock.fileno()] = self
        self.parked = False

    def unregister(self) -> None:
        """Take no connection until `register`; the kernel queues them meanwhile."""
        if not self.parked:
            reactor = self.acceptor.reactor
            reactor.epoll.unregister(self.sock.fileno())
            reactor.targets.pop(self.sock.fileno(), None)
            self.parked = True

    def on_event(self, event: int) -> None:
        """Take the connections that wait, up to the batch and the connection limit."""
        acceptor = self.acceptor
        accept = self.sock._accept  # type: ignore[attr-defined]
        port = self.port
        room = acceptor.max_connections - len(acceptor.connections)
        for taken in range(ACCEPT_BATCH):
            if (taken >= room and acceptor.full()) or (port.limit and port.full()):
                acceptor.park(self)
                return
            try:
                fd, peer = accept()
            except BlockingIOError:
                return
            except OSError as error:
                if error.errno in _NO_DESCRIPTORS:
                    acceptor.out_of_descriptors(error.errno)
                    acceptor.park(self)
                # Anything else means that this one connection died in the queue (accept(2), "Error handling").
                return
            # An IPv6 peer comes with flow and scope too.
            acceptor.accepted(self, _socket.socket(self.family, _STREAM, 0, fd), fd, peer[:2])

    def abort(self) -> None:
        """Nothing to end: the listener goes on."""
