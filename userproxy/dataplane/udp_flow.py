"""One UDP flow: what conntrack would have an entry for, one client address at one listener.

Owns the way of datagrams between a client and the endpoint of its flow, and what happens when the endpoint fails. A flow has a
connected socket of its own, so the kernel tells the answers and ICMP errors of flows apart. When flows end is the business of
`dataplane.udp_flows`.
"""

from __future__ import annotations

import _socket
import errno
from typing import TYPE_CHECKING, TypeAlias

from userproxy.model import Address

if TYPE_CHECKING:
    from userproxy.dataplane.udp import DatagramListener

ClientAddress: TypeAlias = tuple[str, int] | tuple[str, int, int, int]
"""What recvfrom() returns, and sendto() takes."""

ANSWER_BATCH = 32
"""Datagrams taken from one endpoint at a time when it sends many."""
KEPT_BYTES = 2048
"""A first datagram up to this size is kept until it is answered, to go to the next endpoint when this one refuses it."""
TAKE_ANOTHER = frozenset(
    {errno.ECONNREFUSED, errno.EHOSTUNREACH, errno.ENETUNREACH, errno.EPERM, errno.EACCES, errno.EINVAL}
)
"""What speaks against an endpoint; any other error concerns one datagram."""
LEFT = "its endpoint left"
"""Why a flow of a client ended that has another one by then."""


class UdpFlow:
    """One client's datagrams at one listener, and the socket connected to their endpoint."""

    __slots__ = (
        "answered",
        "batch",
        "begun",
        "client",
        "closed",
        "endpoint",
        "fd",
        "generation",
        "kept",
        "last",
        "left",
        "listener",
        "queue",
        "received",
        "sent",
        "sock",
        "tried",
    )

    def __init__(
        self,
        listener: DatagramListener,
        client: ClientAddress,
        endpoint: Address,
        sock: _socket.socket,
        tried: tuple[Address, ...],
    ) -> None:
        flows = listener.flows
        self.listener = listener
        self.client = client
        self.endpoint = endpoint
        self.sock = sock
        self.fd = sock.fileno()
        self.tried = tried
        """endpoints that failed before this one"""
        self.kept: bytes | None = None
        """the first datagram, until an answer comes"""
        self.generation = listener.port.generation
        """the Service port's, when `endpoint` was last seen to be one of its endpoints"""
        self.queue = flows.waiting
        self.begun = self.last = flows.reactor.now
        self.answered = False
        self.left = False
        """the client's datagrams take another endpoint now; answers that are under way are still passed on"""
        self.closed = False
        self.batch = 1
        self.received = self.sent = 0
        """bytes from and to the client"""

    def __repr__(self) -> str:
        return f"<UdpFlow {self.listener.spec.key} {self.client[0]}:{self.client[1]} -> {self.endpoint}>"

    def start(self, data: memoryview | bytes) -> int:
        """Send the first datagram; returns the errno when that fails at once, else 0."""
        if len(data) <= KEPT_BYTES:
            self.kept = bytes(data)
        try:
            self.sock.send(data)
        except OSError as error:
            code = error.errno or errno.EIO
            if code not in TAKE_ANOTHER:
                self.listener.lost(code)
            return code
        self.received = len(data)
        return 0

    def forward(self, data: memoryview | bytes) -> None:
        """Send a datagram of the client to the endpoint."""
        if not self.received:
            self._start_late(data)
            return
        try:
            self.sock.send(data)
        except OSError as error:
            self._not_sent(data, error.errno or errno.EIO)
        else:
            self.received += len(data)
            self.last = self.listener.flows.reactor.now
            self.queue.move_to_end(self)

    def on_event(self, event: int) -> None:
        """Send the answers that have come to the client, from the address it used."""
        if self.closed:
            return
        listener = self.listener
        buffer, counters = listener.flows.reactor.buffer, listener.port.counters
        receive, answer = self.sock.recv_into, listener.sock.sendto
        for number in range(self.batch):
            try:
                size = receive(buffer)
            except BlockingIOError:
                self.batch = 1
                if not number:
                    return
                break
            except OSError as error:
                code = error.errno or errno.EIO
                if code in TAKE_ANOTHER:
                    self._failed(code)
                else:
                    # Of one datagram: it was larger than a hop between takes, and the next one is fragmented (EMSGSIZE).
                    listener.lost(code)
                return
            try:
                answer(buffer[:size], self.client)
            except OSError as error:
                listener.lost(error.errno or errno.EIO)
            else:
                counters.datagrams_sent += 1
                counters.bytes_sent += size
                self.sent += size
        else:
            self.batch = min(2 * self.batch, ANSWER_BATCH)
        listener.flows.heard(self)

    def abort(self) -> None:
        """End because of a bug in the code that handled an event."""
        self.listener.flows.end(self, "a bug in userproxy")

    def _start_late(self, data: memoryview | bytes) -> None:
        """Send the first datagram of a flow that was moved without one."""
        code = self.start(data)
        if code in TAKE_ANOTHER:
            self._move(data, code)
        else:
            self.last = self.listener.flows.reactor.now
            self.queue.move_to_end(self)

    def _not_sent(self, data: memoryview | bytes, code: int) -> None:
        if code not in TAKE_ANOTHER:
            self.listener.lost(code)
            return
        if code != errno.ECONNREFUSED:
            self._move(data, code)
            return
        # The answer to an earlier datagram, which the kernel reports in place of sending this one.
        after = self._failed(code)
        if after is None:
            self.listener.lost(code)
        else:
            after.forward(data)

    def _failed(self, code: int) -> UdpFlow | None:
        """The endpoint answered with an ICMP error: another one gets the first datagram; later ones are lost."""
        if self.left:
            self.listener.flows.end(self, LEFT)
            return None
        if self.kept is None:
            self.listener.lost(code)
        return self._move(self.kept, code)

    def _move(self, data: memoryview | bytes | None, code: int) -> UdpFlow | None:
        listener = self.listener
        outcomes = listener.port.outcomes
        if outcomes is not None:
            outcomes.failed(self.endpoint, listener.flows.reactor.now)
        # What failed before an answer counts no more: the client asks again.
        self.tried = (self.endpoint,) if self.answered else (*self.tried, self.endpoint)
        listener.flows.end(self)
        after = listener.begin(self.client, data, self.tried, code)
        if after is None:
            listener.flows.refused(self, code)
        return after
