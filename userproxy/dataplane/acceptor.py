"""The connections of one worker: which are taken, which are open, and who rests when there are too many.

Owns what one worker owns: the reactor, the balancer and counters of each Service port, and its connections. Listening sockets
are opened, silenced and closed by `dataplane.listeners`; this module only registers them.
"""

from __future__ import annotations

import _socket
import itertools
import logging
import os
import socket
import time
from collections.abc import Callable, Iterable
from functools import partial

from userproxy.core.affinity import AffinityRecords
from userproxy.core.counters import PortCounters
from userproxy.core.plan import Serving
from userproxy.dataplane.connection import Connection
from userproxy.dataplane.dialing import DIAL_DEADLINES, expired
from userproxy.dataplane.draining import Drains
from userproxy.dataplane.flow_recorder import FlowRecorder
from userproxy.dataplane.open_connections import ConnectionsByAge
from userproxy.dataplane.reactor import Countdown, Reactor
from userproxy.dataplane.service_port import Port
from userproxy.dataplane.sockets import SocketSettings, original_destination, reset_on_close
from userproxy.dataplane.tcp_listener import Listener
from userproxy.dataplane.transparent import client_source
from userproxy.dataplane.udp import DatagramListener
from userproxy.dataplane.udp_flows import UdpFlows
from userproxy.dataplane.udp_sockets import DEFAULT_UDP, UdpSettings
from userproxy.model import Address, ListenerSpec, PortKey

log = logging.getLogger(__name__)

PAUSE = 0.1
"""Seconds a listener rests after the descriptor limit was met (trio's figure)."""


class Acceptor:
    """The connections of one worker, by Service port."""

    def __init__(
        self,
        reactor: Reactor,
        sockets: SocketSettings,
        half_close_timeout: float,
        max_connections: int,
        flow_records: int = 0,
        affinity: AffinityRecords | None = None,
        udp: UdpSettings = DEFAULT_UDP,
        transparent: bool = False,
    ) -> None:
        """`transparent`: this process has the capability to bind a client's address, and answers to it are steered here."""
        self.reactor = reactor
        self.sockets = sockets
        self.max_connections = max_connections
        self.ports: dict[PortKey, Port] = {}
        self.listeners: dict[ListenerSpec, Listener | DatagramListener] = {}
        self.connections = ConnectionsByAge(reactor)
        self.flows = FlowRecorder(flow_records)
        self._affinity = affinity or AffinityRecords()
        self.udp_flows = UdpFlows(reactor, udp, self._mark, self.flows)
        self.paused = 0
        """how often a listener had to rest because descriptors or connections ran out"""
        self._parked: list[Listener] = []
        self._changed: dict[Port, bool] = {}
        """Service ports to report; False: one that had no open connection when it was reported last"""
        self._idle: Callable[[], object] | None = None
        self._dials = [reactor.countdown(s, expired) for s in DIAL_DEADLINES]
        self.lingering = reactor.deadlines(half_close_timeout, Connection.linger_expired)
        self._transparent = transparent
        self._resting = reactor.deadlines(PAUSE, self._rested)
        self._drains = Drains(reactor, self.connections)

    def serve(self, servings: Iterable[Serving], start: float = 0.0) -> None:
        """Take over the endpoints of Service ports; a new ring begins at `start` of its length (its worker's offset)."""
        for serving in servings:
            port = self.ports.get(serving.key)
            if port is None:
                port = self.ports[serving.key] = Port(serving.key, self._affinity)
                if serving.options.drain_seconds >= 0:
                    self._adopt(port)
            if port.take_over(serving, start, partial(self._endpoints_in_use, port)):
                for listener in port.listeners:
                    listener.follow_route()
            port.transparent = self._transparent and serving.options.transparent
            if serving.options.eject_failures:
                self._changed.setdefault(port, False)
            usable = (*serving.cluster, *serving.local)
            self._drains.changed(port, usable, serving.options.drain_seconds, time.monotonic())
            self._admit(port)

    def _endpoints_in_use(self, port: Port) -> list[Address]:
        """Return the endpoint of each connection and flow of a Service port, dials under way included."""
        connected = [
            one.endpoint for one in self.connections if one.port is port and one.server and one.endpoint
        ]
        return connected + self.udp_flows.endpoints_of(port)

    def _adopt(self, port: Port) -> None:
        """A Service that was deleted is there again: its connections go on with the endpoints that it has now."""
        for connection in self.connections:
            if connection.port.key == port.key:
                connection.port = port

    def forget(self, keys: Iterable[PortKey]) -> None:
        """Drop Service ports that are gone, with their counters; open connections go on."""
        for key in keys:
            port = self.ports.pop(key, None)
            if port is not None:
                self._changed.pop(port, None)
                port.balancing.forget()
                self._drains.changed(port, (), port.drain_seconds, time.monotonic())

    def changed_counters(self, limit: int) -> list[tuple[PortKey, PortCounters]]:
        """Return the counters of up to `limit` Service ports that had a connection since they were returned last."""
        taken = list(itertools.islice(self._changed, limit))
        for port in taken:
            was_open = self._changed.pop(port)
            # Once more after the last connection ended, for what it counted at its end.
            if port.counters.active or was_open:
                self._changed[port] = bool(port.counters.active)
        return [(port.key, port.counters) for port in taken]

    def listen(self, spec: ListenerSpec, sock: socket.socket, *, registered: bool = False) -> None:
        """Take connections or datagrams from `sock` for the Service port of `spec`.

        `registered`: the reactor watches a TCP `sock` already, and keeps its place among the workers that wait for it.
        """
        port = self.ports[spec.key]
        listener: Listener | DatagramListener
        if spec.is_udp:
            listener = DatagramListener(self.udp_flows, spec, sock, port)
        else:
            listener = Listener(self, spec, sock, port)
            port.listeners.append(listener)
            if registered:
                listener.take_over()
        self.listeners[spec] = listener
        listener.register()

    def unlisten(self, spec: ListenerSpec) -> socket.socket | None:
        """Take no more connections for `spec`. Returns the socket, which whoever owns it closes; None if there is none."""
        listener = self.listeners.pop(spec, None)
        if listener is None:
            return None
        listener.unregister()
        if isinstance(listener, Listener):
            for parked in (self._parked, listener.port.parked, listener.port.listeners):
                if listener in parked:
                    parked.remove(listener)
            self._resting.discard(listener)
        return listener.sock

    def accepted(self, listener: Listener, sock: _socket.socket, fd: int, peer: Address) -> None:
        """Start a connection, unless it reached a redirect listener past the redirect."""
        port = listener.port
        spec = listener.spec
        port.counters.accepted += 1
        self._changed[port] = True
        if spec.captured_only:
            wanted = original_destination(sock, spec.key.family)
            if wanted is None or wanted == sock.getsockname()[:2]:
                port.counters.direct_refused += 1
                reset_on_close(sock)
                sock.close()
                return
        port.counters.active += 1
        balancer = listener.balancer_of(peer) if listener.everywhere else listener.balancer
        connection = Connection(self, port, balancer, sock, fd, peer)
        if port.transparent:
            connection.source = client_source(listener, peer, local_endpoints=balancer is port.local)
        self.connections.add(connection)
        connection.start()

    def ended(self, connection: Connection) -> None:
        """A connection is over."""
        connection.counters.active -= 1
        self.connections.remove(connection)
        if connection.port.parked:
            self._admit(connection.port)
        if self._parked and not self.full():
            self._parked = wake(self._parked)
        if self._idle is not None and not self.connections:
            self._idle()

    def when_idle(self, call: Callable[[], object]) -> None:
        """Call `call` whenever no connection is open, at once if so now; for draining."""
        self._idle = call
        if not self.connections:
            call()

    def full(self) -> bool:
        """Whether no further connection may be taken."""
        return len(self.connections) >= self.max_connections

    def park(self, listener: Listener) -> None:
        """Let `listener` rest: until a connection ends when the limit is met, else for PAUSE."""
        self.paused += 1
        listener.port.counters.paused += 1
        listener.unregister()
        if listener.port.full():
            listener.port.parked.append(listener)
        elif self.full():
            self._parked.append(listener)
        else:
            self._resting.add(listener)

    def out_of_descriptors(self, code: int) -> None:
        """A descriptor could not be had (an errno): counted, and logged once in a while by whoever reads `paused`."""
        self.paused += 1
        log.debug("no descriptor for a connection: %s", os.strerror(code))

    def dial_deadline(self, attempt: int) -> Countdown[Connection]:
        """Return the deadlines of dial attempt number `attempt`, from 0."""
        return self._dials[attempt if attempt < len(self._dials) else -1]

    def reset_all(self) -> None:
        """End every connection with a reset."""
        for connection in tuple(self.connections):
            connection.reset("this proxy stopped")

    def _mark(self, port: Port) -> None:
        """Something began at `port`: its counters are to be reported."""
        self._changed[port] = True

    def _admit(self, port: Port) -> None:
        """Wake the listeners of `port` when its limit allows."""
        if port.parked and not port.full():
            port.parked = wake(port.parked)

    def _rested(self, listener: Listener) -> None:
        if listener.spec in self.listeners:
            listener.register()


def wake(parked: Iterable[Listener]) -> list[Listener]:
    """Let `parked` listeners take connections again; returns those that still rest: none."""
    for listener in parked:
        listener.register()
    return []
