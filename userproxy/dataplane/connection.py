"""One client connection: the dial to an endpoint, the next endpoint when it fails, and the end.

Owns the life of a connection from accept to close. Before an endpoint is connected the client is read once at most, and what it
said is kept, so nothing is lost when a dial fails and the next endpoint is tried. Bytes are moved by `dataplane.relay`.
"""

from __future__ import annotations

import _socket
import errno
import logging
import select
from bisect import bisect_left
from typing import TYPE_CHECKING

from userproxy.core.addresses import address_text
from userproxy.core.balancer import Balancer
from userproxy.core.counters import DIAL_BUCKETS, PortCounters
from userproxy.dataplane.announcing import announce, push
from userproxy.dataplane.dialing import BLAMED, attempt, count_failure, open_socket
from userproxy.dataplane.flow_recorder import CLIENT_GONE
from userproxy.dataplane.relay import CHUNK, EDGE, EDGE_WRITE, SMALL, Leg
from userproxy.dataplane.sockets import reset_on_close, tune
from userproxy.model import Address

if TYPE_CHECKING:
    from userproxy.dataplane.acceptor import Acceptor
    from userproxy.dataplane.service_port import Port

log = logging.getLogger(__name__)

DIAL_DEADLINES = (0.25, 0.5, 1.0, 2.0)
"""Seconds for each attempt, as in kube-proxy's userspace mode (pkg/proxy/userspace/proxysocket.go); then the last one again."""
MAX_ATTEMPTS = 16
"""Endpoints tried for one connection when there are more than four and they fail at once."""
DIAL_SECONDS = sum(DIAL_DEADLINES)
"""After this time a connection gives up, whatever is left to try."""

_DONTWAIT = _socket.MSG_DONTWAIT
_FAILED = select.EPOLLERR | select.EPOLLHUP


class Connection:
    """A client's connection and, once `carried`, the endpoint's."""

    __slots__ = (
        "acceptor",
        "attempts",
        "balancer",
        "buffer",
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
    )

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
        self.buffer = reactor.buffer
        self.port = port
        self.balancer = balancer
        self.counters: PortCounters = port.counters
        self.peer_address = peer_address
        self.client: Leg | None = Leg(self, sock, fd, is_client=True)
        self.server: Leg | None = None
        self.endpoint: Address | None = None
        self.tried: list[Address] = []
        self.attempts = 0
        self.opened = self.dial_started = reactor.now
        self.carried = False
        self.closed = False
        self.lost = False
        """one side takes no more bytes; ends with a reset"""
        self.prompt = False
        """TCP_NODELAY is set towards the endpoint"""
        self.settled = False
        """older than a second"""
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
        """Dial the first endpoint in turn; a client that nobody can serve is reset."""
        client, port, reactor = self.client, self.port, self.reactor
        if client is not None:
            if port.hear_at_once.rest:
                port.hear_at_once.rest -= 1
            elif not port.proxy_protocol and not self._hear(client):
                return
            reactor.targets[client.fd] = client
            reactor.epoll.register(client.fd, EDGE)
        endpoint = self.balancer.pick(self.peer_address[0], reactor.now)
        if endpoint is None:
            self._refuse()
        else:
            self._dial(endpoint)

    def _hear(self, client: Leg) -> bool:
        """Read what the client has said already, as most do; False when it is gone.

        Who knows that there is something to say can dial with fewer segments and events (`_connect`).
        """
        try:
            client.tail = client.sock.recv(CHUNK, _DONTWAIT)
        except BlockingIOError:
            self.port.hear_at_once.failed()
        except OSError:
            self.reset(CLIENT_GONE)
            return False
        else:
            client.ended = not client.tail
            self.port.hear_at_once.failures = 0
        return True

    def on_early_event(self, leg: Leg, event: int) -> None:
        """Handle an event before an endpoint is connected."""
        if self.closed:
            return
        if leg is self.client:
            # Data of the client waits in its socket. Edge-triggered: that its end waits there too is said only once.
            leg.ready = True
            if event & _FAILED:
                self.reset(CLIENT_GONE)
            elif event & select.EPOLLRDHUP:
                leg.ending = select.EPOLLRDHUP
        elif event & _FAILED:
            self._dial_failed(leg.sock.getsockopt(_socket.SOL_SOCKET, _socket.SO_ERROR))
        elif event & select.EPOLLOUT:
            self._connected(-1)
            # An endpoint that speaks first may have done so by now; edge-triggered, this event says it once.
            if self.carried and not self.closed:
                leg.on_event(event)

    def dial_expired(self) -> None:
        """A deadline of this connection is over; it may be that of an attempt that is past."""
        if not self.closed and not self.carried and self.reactor.now >= self.deadline:
            self._dial_failed(errno.ETIMEDOUT)

    def leave_endpoint(self, why: str) -> None:
        """The endpoint is not to be used any more: reset, or dial another one while the client has not been read yet."""
        if self.closed:
            return
        if self.carried:
            self.reset(why)
        else:
            self._drop_dial()
            self._dial(self.balancer.pick(self.peer_address[0], self.reactor.now))

    def settle(self) -> None:
        """Give a connection that turned out to live the options of a long one; short ones never pay for them."""
        if self.closed or self.server is None:
            return
        self.settled = True
        self.prompt = True
        tune(self.server.sock, self.acceptor.sockets)
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
        if self.client is not None and self.server is not None:
            self.client.quick = self.server.quick = False
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
        """End in order: everything was passed on, so FIN is what the peers get."""
        if not self.closed:
            self._end()

    def reset(self, why: str) -> None:
        """End at once with RST to both sides; `why` is for people."""
        if not self.closed:
            self.why = why
            for leg in (self.client, self.server):
                if leg is not None:
                    reset_on_close(leg.sock)
            self._end()

    def abort(self) -> None:
        """End because of a bug in the code that handled an event."""
        self.reset("a bug of this proxy, see its log")

    def _moved(self) -> int:
        return sum(leg.moved for leg in (self.client, self.server) if leg is not None)

    def _dial(self, endpoint: Address | None) -> None:
        """Try endpoints until one connects, is under way, or none is left."""
        while endpoint is not None:
            self.endpoint = endpoint
            self.dial_started = self.reactor.now
            code = self._connect(endpoint)
            if code in (0, errno.EINPROGRESS):
                return
            endpoint = self._next_endpoint(code)
        self._refuse()

    def _connect(self, endpoint: Address) -> int:
        """Start connecting; returns 0 when connected, EINPROGRESS, or the errno of a failure."""
        try:
            sock = open_socket(endpoint)
        except OSError as error:
            self.acceptor.out_of_descriptors(error)
            return error.errno or errno.EMFILE
        early = self.client.tail if self.client is not None else b""
        self.prompt = len(early) > SMALL
        code, sent = attempt(sock, self.port, endpoint, early, self.source)
        if code not in (0, errno.EINPROGRESS):
            sock.close()
            return code
        self._watch_dial(endpoint, sock, code)
        if code == 0:
            self._connected(sent)
        return code

    def _watch_dial(self, endpoint: Address, sock: _socket.socket, code: int) -> None:
        """Register the endpoint's socket, with a deadline unless it is connected."""
        reactor = self.reactor
        leg = Leg(self, sock, sock.fileno(), is_client=False)
        leg.peer = self.client
        if self.client is not None:
            self.client.peer = leg
        self.server = leg
        outcomes = self.port.outcomes
        if outcomes is not None:
            outcomes.opened(endpoint)
        reactor.targets[leg.fd] = leg
        if code == 0:
            reactor.epoll.register(leg.fd, EDGE)
        else:
            leg.watched = EDGE_WRITE
            reactor.epoll.register(leg.fd, EDGE_WRITE)
            deadlines = self.acceptor.dial_deadline(self.attempts)
            self.deadline = reactor.now + deadlines.seconds
            deadlines.add(self)

    def _connected(self, sent: int) -> None:
        """An endpoint is reached; `sent` bytes of what was read from the client are on their way to it, -1: not tried."""
        client, server, port = self.client, self.server, self.port
        announced = port.proxy_protocol
        if announced and client is not None and server is not None:
            failure = announce(self, client, server)
            if failure:
                self._dial_failed(failure)
                return
        self.carried = True
        seconds = self.reactor.now - self.dial_started
        counters = self.counters
        counters.carried += 1
        counters.dial_seconds += seconds
        counters.dial_buckets[bisect_left(DIAL_BUCKETS, seconds)] += 1
        outcomes = port.outcomes
        if outcomes is not None and self.endpoint is not None:
            outcomes.reached(self.endpoint)
        self.acceptor.settling.add(self)
        if client is None or server is None:
            return
        if announced:
            client.pump()
            push(self, client)
        else:
            client.begin(server, sent)

    def _dial_failed(self, code: int) -> None:
        self._drop_dial()
        self._dial(self._next_endpoint(code))

    def _drop_dial(self) -> None:
        leg = self.server
        if leg is not None:
            self._drop(leg)
            self._tell_closed()
            self.server = None

    def _next_endpoint(self, code: int) -> Address | None:
        """Count a failed attempt and return the endpoint to try next, None to give up."""
        self.failure = count_failure(self.counters, code)
        self.attempts += 1
        client, now, outcomes = self.peer_address[0], self.reactor.now, self.port.outcomes
        if self.endpoint is not None:
            self.tried.append(self.endpoint)
            if outcomes is not None and code in BLAMED:
                outcomes.failed(self.endpoint, now)
        balancer = self.balancer
        late = now - self.opened >= DIAL_SECONDS
        if late or self.attempts >= MAX_ATTEMPTS or code in (errno.EMFILE, errno.ENFILE):
            return None
        endpoint = balancer.pick_other(self.tried, client, now)
        if endpoint is None and self.attempts < len(DIAL_DEADLINES):
            self.tried.clear()
            endpoint = balancer.pick(client, now)
        if endpoint is not None:
            self.counters.retries += 1
        return endpoint

    def _refuse(self) -> None:
        self.counters.failed += 1
        if log.isEnabledFor(logging.DEBUG):
            self._log_refused()
        self.reset(self.failure if self.attempts else "no usable endpoint")

    def _log_refused(self) -> None:
        fields = {
            "service": str(self.port.key.name),
            "client": address_text(self.peer_address[:2]),
            "endpoint": address_text(self.endpoint) if self.endpoint else "",
        }
        reason = self.failure if self.attempts else "no usable endpoint"
        log.debug("a connection is refused: %s", reason, extra=fields)

    def _drop(self, leg: Leg) -> None:
        reactor = self.reactor
        reactor.targets.pop(leg.fd, None)
        leg.peer = None
        reactor.closing.append(leg.sock)

    def _tell_closed(self) -> None:
        """Tell that the connection to the endpoint, or its dial, is over."""
        outcomes = self.port.outcomes
        if outcomes is not None and self.server is not None and self.endpoint is not None:
            outcomes.closed(self.endpoint)

    def _end(self) -> None:
        self.closed = True
        if self.port.outcomes is not None:
            self._tell_closed()
        acceptor = self.acceptor
        if self.half and self.settled:
            acceptor.lingering.discard(self)
        if acceptor.flows.size:
            acceptor.flows.ended(self)
        # As `_drop`, without its calls: this runs for every connection.
        reactor, client, server = self.reactor, self.client, self.server
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
