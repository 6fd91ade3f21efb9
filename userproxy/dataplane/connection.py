"""One client connection, from accept to close: what it is in, and its end.

Owns a connection's state and the options of its sockets. Before an endpoint is connected the client is read once at most, and
what it said is kept. The way to an endpoint is `dataplane.dialing`'s, moving bytes `dataplane.relay`'s.
"""

from __future__ import annotations

import _socket
import select
from typing import TYPE_CHECKING

from userproxy.core.balancer import Balancer
from userproxy.core.counters import PortCounters
from userproxy.dataplane.dialing import connected, dial, failed
from userproxy.dataplane.flow_recorder import CLIENT_GONE
from userproxy.dataplane.relay import CHUNK, EDGE, Leg
from userproxy.dataplane.sockets import reset_on_close, tune
from userproxy.model import Address

if TYPE_CHECKING:
    from userproxy.dataplane.acceptor import Acceptor
    from userproxy.dataplane.service_port import Port

_DONTWAIT = _socket.MSG_DONTWAIT
_FAILED = select.EPOLLERR | select.EPOLLHUP


class Connection:
    """A client's connection and, once `carried`, the endpoint's."""

    __slots__ = (
        "acceptor",
        "attempts",
        "balancer",
        "carried",
        "client",
        "closed",
        "counters",
        "deadline",
        "dial_started",
        "endpoint",
        "failure",
        "half",
        "lost",
        "marked",
        "opened",
        "peer_address",
        "port",
        "prompt",
        "reactor",
        "server",
        "settled",
        "source",
        "tried",
        "why",
        "woken",
    )

    deadline: float
    """when the attempt under way is over, by the reactor's clock; set by the first that has to wait"""
    failure: str
    """what the last attempt failed for; set by the first that does"""

    def __init__(
        self,
        acceptor: Acceptor,
        port: Port,
        balancer: Balancer,
        sock: _socket.socket,
        fd: int,
        peer_address: Address,
    ) -> None:
        self.acceptor = acceptor
        self.reactor = reactor = acceptor.reactor
        self.port = port
        self.balancer = balancer
        self.counters: PortCounters = port.counters
        self.peer_address = peer_address
        self.client: Leg | None = Leg(self, sock, fd, True)
        self.server: Leg | None = None
        self.endpoint: Address | None = None
        self.tried: tuple[Address, ...] = ()
        self.attempts = 0
        self.opened = self.dial_started = reactor.now
        self.carried = False
        self.closed = False
        self.lost: Leg | None = None
        """the side whose bytes the other does not take any more; then it ends with a reset"""
        self.woken = False
        """an event of the client came before an endpoint was connected"""
        self.prompt = False
        """TCP_NODELAY is set towards the endpoint"""
        self.settled = False
        """has the options of a long one"""
        self.half = False
        """one direction has ended"""
        self.marked = 0
        """bytes moved when the half-close time was last started"""
        self.source = ""
        """address to dial from; empty: the host's own choice"""
        self.why = ""
        """what it was reset for"""

    def __repr__(self) -> str:
        return (
            f"<Connection {self.port.key} {self.peer_address[0]}:{self.peer_address[1]} -> {self.endpoint}>"
        )

    def start(self) -> None:
        """Hear the client and dial the first endpoint in turn; a client that nobody can serve is reset."""
        client, port, reactor = self.client, self.port, self.reactor
        if client is None:
            return
        if port.hear_at_once.rest:
            port.hear_at_once.rest -= 1
        elif not port.proxy_protocol:
            # Who knows that the client has said something, as most have, can dial with fewer segments and events.
            try:
                client.tail = client.sock.recv(CHUNK, _DONTWAIT)
            except BlockingIOError:
                port.hear_at_once.failed()
            except OSError:
                self.reset(CLIENT_GONE)
                return
            else:
                client.ended = not client.tail
                port.hear_at_once.failures = 0
        reactor.targets[client.fd] = client
        reactor.epoll.register(client.fd, EDGE)
        dial(self, self.balancer.pick(self.peer_address[0], reactor.now))

    def on_early_event(self, leg: Leg, event: int) -> None:
        """Handle an event before an endpoint is connected."""
        if self.closed:
            return
        if leg is self.client:
            # Data of the client waits in its socket. Edge-triggered: that its end waits there too is said only once.
            self.woken = True
            if event & _FAILED:
                self.reset(CLIENT_GONE)
            elif event & select.EPOLLRDHUP:
                leg.ending = select.EPOLLRDHUP
        elif event & _FAILED:
            failed(self, leg.sock.getsockopt(_socket.SOL_SOCKET, _socket.SO_ERROR))
        elif event & select.EPOLLOUT and self.client is not None:
            connected(self, self.client, leg, -1)
            # An endpoint that speaks first may have done so by now; edge-triggered, this event says it once.
            if self.carried and not self.closed:
                leg.on_event(event)

    def leave_endpoint(self, why: str) -> None:
        """The endpoint is not to be used any more: reset, or dial another one while the client has not been read yet."""
        if self.closed:
            return
        if self.carried:
            self.reset(why)
        else:
            self.drop_dial()
            dial(self, self.balancer.pick(self.peer_address[0], self.reactor.now))

    def drop_dial(self) -> None:
        """Forget the attempt under way, if there is one."""
        server = self.server
        if server is not None:
            self._tell_closed()
            self.server = server.peer = None
            self.reactor.targets.pop(server.fd, None)
            self.reactor.closing.append(server.sock)

    def settle(self) -> None:
        """Give a connection that turned out to live the options of a long one; short ones never pay for them.

        One that is still dialled by then gets them when it reaches an endpoint.
        """
        if self.closed or not self.carried or self.server is None:
            return
        self.settled = True
        self.prompt = True
        for leg in (self.client, self.server):
            if leg is not None:
                tune(leg.sock, self.acceptor.sockets)
        if self.acceptor.flows.following:
            self.acceptor.flows.opened(self)
        if self.half:
            self.half_closed()

    def be_prompt(self) -> None:
        """Switch Nagle's algorithm off towards the endpoint: from the second send on it could delay a small write."""
        self.prompt = True
        if self.server is not None:
            self.server.sock.setsockopt(_socket.IPPROTO_TCP, _socket.TCP_NODELAY, 1)

    def half_closed(self) -> None:
        """One direction has ended: bound the time the other may go on without moving a byte.

        The bound counts from the first second on, so that short connections never enter the queue.
        """
        self.half = True
        if self.settled:
            self.marked = self._moved()
            self.acceptor.lingering.add(self)

    def linger_expired(self) -> None:
        """End a half-closed connection that moved nothing, else give it another time."""
        if self._moved() != self.marked:
            self.half_closed()
        else:
            self.reset("one side had ended and the other moved nothing (--half-close-timeout)")

    def close(self) -> None:
        """End: with FIN to both sides, since everything was passed on, unless `reset` has said otherwise."""
        if self.closed:
            return
        self.closed = True
        if self.port.outcomes is not None:
            self._tell_closed()
        acceptor, reactor = self.acceptor, self.reactor
        if self.half and self.settled:
            acceptor.lingering.discard(self)
        if acceptor.flows.size:
            acceptor.flows.ended(self)
        client, server = self.client, self.server
        if client is not None:
            reactor.targets.pop(client.fd, None)
            client.peer = None
            reactor.closing.append(client.sock)
        if server is not None:
            reactor.targets.pop(server.fd, None)
            server.peer = None
            reactor.closing.append(server.sock)
        self.client = self.server = None
        acceptor.ended(self)

    def reset(self, why: str) -> None:
        """End at once with RST to both sides; `why` is for people."""
        if not self.closed:
            self.why = why
            for leg in (self.client, self.server):
                if leg is not None:
                    reset_on_close(leg.sock)
            self.close()

    def abort(self) -> None:
        """End because of a bug in the code that handled an event."""
        self.reset("a bug of this proxy, see its log")

    def _moved(self) -> int:
        return sum(leg.moved for leg in (self.client, self.server) if leg is not None)

    def _tell_closed(self) -> None:
        """Tell that the connection to the endpoint, or its dial, is over."""
        outcomes = self.port.outcomes
        if outcomes is not None and self.server is not None and self.endpoint is not None:
            outcomes.closed(self.endpoint)
