"""Datagrams of clients, from a listening socket to the endpoint of their flow.

Owns the hot path of a worker's UDP listener and the choice of an endpoint for a flow. The flow itself is `dataplane.udp_flow`,
the sockets are opened, silenced and closed by `dataplane.listeners`.
"""

from __future__ import annotations

import errno
import select
import socket
from typing import TYPE_CHECKING

from userproxy.core.balancer import Balancer
from userproxy.core.counters import Loss
from userproxy.core.networks import contains
from userproxy.dataplane.udp_flow import TAKE_ANOTHER, ClientAddress, UdpFlow
from userproxy.dataplane.udp_flows import NO_SOCKET
from userproxy.model import Address, ListenerSpec

if TYPE_CHECKING:
    from userproxy.dataplane.service_port import Port
    from userproxy.dataplane.udp_flows import UdpFlows

BATCH = 64
"""Datagrams taken from one listener before others get their turn."""
MAX_TRIED = 16
"""Endpoints that a flow tries, one after the other."""

_LOSSES = {
    0: Loss.NO_ENDPOINT,
    errno.ECONNREFUSED: Loss.REFUSED,
    errno.EHOSTUNREACH: Loss.UNREACHABLE,
    errno.ENETUNREACH: Loss.UNREACHABLE,
    errno.EAGAIN: Loss.BUFFER,
    errno.ENOBUFS: Loss.BUFFER,
    errno.ENOMEM: Loss.BUFFER,
    errno.EMSGSIZE: Loss.TOO_LONG,
    errno.EADDRNOTAVAIL: Loss.UNREACHABLE,
    errno.EMFILE: Loss.NO_SOCKET,
}


class DatagramListener:
    """A registered UDP listening socket of one worker, with the flows of its clients."""

    __slots__ = ("by_client", "flows", "leaving", "port", "registered", "sock", "spec")

    def __init__(self, flows: UdpFlows, spec: ListenerSpec, sock: socket.socket, port: Port) -> None:
        self.flows = flows
        self.spec = spec
        self.sock = sock
        self.port = port
        self.by_client: dict[ClientAddress, UdpFlow] = {}
        self.leaving: set[UdpFlow] = set()
        """flows whose client has another one by now"""
        self.registered = False

    def __repr__(self) -> str:
        return f"<DatagramListener {self.spec.key} on {self.spec.address}>"

    def register(self) -> None:
        """Take datagrams from now on."""
        reactor = self.flows.reactor
        reactor.targets[self.sock.fileno()] = self
        reactor.epoll.register(self.sock.fileno(), select.EPOLLIN)
        self.registered = True

    def unregister(self) -> None:
        """Take no more datagrams and end all flows: without this socket nobody could be answered."""
        if self.registered:
            self.registered = False
            reactor = self.flows.reactor
            reactor.epoll.unregister(self.sock.fileno())
            reactor.targets.pop(self.sock.fileno(), None)
        for flow in (*self.by_client.values(), *self.leaving):
            self.flows.end(flow, "the Service port is served no more")

    def on_event(self, event: int) -> None:
        """Take the datagrams that wait, up to the batch, and send each to the endpoint of its flow."""
        port = self.port
        counters, by_client, buffer = port.counters, self.by_client, self.flows.reactor.buffer
        receive = self.sock.recvfrom_into
        for _ in range(BATCH):
            try:
                size, client = receive(buffer)
            except BlockingIOError:
                return
            except OSError as error:
                self.lost(error.errno or errno.EIO)
                continue
            counters.datagrams_received += 1
            counters.bytes_received += size
            flow = by_client.get(client)
            if flow is None:
                counters.accepted += 1
                self.flows.begun(port)
                self.begin(client, buffer[:size])
            elif flow.generation == port.generation or self._lasts(flow):
                flow.forward(buffer[:size])
            else:
                self.flows.leave(flow)
                self.begin(client, buffer[:size])

    def abort(self) -> None:
        """Nothing to end: the listener goes on."""

    def begin(
        self,
        client: ClientAddress,
        data: memoryview | bytes | None,
        tried: tuple[Address, ...] = (),
        code: int = 0,
    ) -> UdpFlow | None:
        """Take an endpoint for a flow and send it the datagram; None when there is none left.

        `tried` holds those that failed before, the last one with error `code`.
        """
        balancer, now = self._balancer(client), self.flows.reactor.now
        while len(tried) < MAX_TRIED:
            endpoint = balancer.pick_other(tried, client[0], now) if tried else balancer.pick(client[0], now)
            if endpoint is None:
                break
            self.port.counters.retries += bool(tried)
            try:
                sock = self.flows.connect(endpoint)
            except OSError as error:
                code = error.errno or errno.EIO
                if code in NO_SOCKET:
                    code = errno.EMFILE
                    break
            else:
                flow = UdpFlow(self, client, endpoint, sock, tried)
                self.flows.add(flow)
                code = flow.start(data) if data is not None else 0
                if code not in TAKE_ANOTHER:
                    return flow
                self.flows.end(flow)
            tried = (*tried, endpoint)
        if data is not None:
            self.lost(code)
        return None

    def lost(self, code: int) -> None:
        """Count a datagram that could not be passed on because of an errno; 0: no endpoint."""
        self.port.counters.datagrams_lost[_LOSSES.get(code, Loss.OTHER)] += 1

    def _balancer(self, client: ClientAddress) -> Balancer:
        """Return the ring that a client takes by the route of this listener's scope."""
        port = self.port
        route = port.route(self.spec.scope)
        if route is None or not route.local or contains(route.everywhere, client[0]):
            return port.balancer
        return port.local

    def _lasts(self, flow: UdpFlow) -> bool:
        """Return whether the flow's endpoint may still be used after the endpoints changed."""
        if flow.endpoint not in self.port.lasting:
            return False
        flow.generation = self.port.generation
        return True
