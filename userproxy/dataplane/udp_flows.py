"""The flows of one worker: how long they live, and how many there may be.

Owns idle times and the limit. Three queues, each in the order of last use: flows that wait for their first answer, flows that
have one, and streams, which conntrack has a timeout of its own for. What a flow does is `dataplane.udp_flow`'s work.
"""

from __future__ import annotations

import _socket
import errno
import os
import select
from collections import OrderedDict
from collections.abc import Callable, Iterator
from itertools import chain
from typing import TYPE_CHECKING, TypeAlias

from userproxy.dataplane.flow_recorder import NO_ANSWER, FlowRecorder
from userproxy.dataplane.reactor import TICK, Reactor
from userproxy.dataplane.udp_flow import LEFT
from userproxy.dataplane.udp_sockets import UdpSettings, connected
from userproxy.model import Address

if TYPE_CHECKING:
    from userproxy.dataplane.service_port import Port
    from userproxy.dataplane.udp_flow import UdpFlow

IdleQueue: TypeAlias = "OrderedDict[UdpFlow, None]"

STREAM_AGE = 2.0
"""A flow that is answered after so many seconds is a stream (nf_conntrack_proto_udp.c: "Still active after two seconds")."""
LOOK_SECONDS = 1.0
"""Between two looks for idle flows, at most."""
NO_SOCKET = frozenset({errno.EMFILE, errno.ENFILE, errno.EAGAIN})
"""No descriptor is left for a flow, or no port number (inet_autobind)."""


class UdpFlows:
    """All flows of one worker. `begun` is to hear of the Service port of each new client."""

    def __init__(
        self,
        reactor: Reactor,
        settings: UdpSettings,
        begun: Callable[[Port], None],
        recorder: FlowRecorder,
    ) -> None:
        self.reactor = reactor
        self.recorder = recorder
        self.limit = settings.max_flows
        self.waiting: IdleQueue = OrderedDict()
        self.answered: IdleQueue = OrderedDict()
        self.streams: IdleQueue = OrderedDict()
        self.begun = begun
        self._queues = (
            (self.answered, settings.timeout),
            (self.waiting, settings.timeout),
            (self.streams, settings.stream_timeout),
        )
        """with their idle times, in the order in which flows make room"""
        look = min(LOOK_SECONDS, settings.timeout / 4, settings.stream_timeout / 4)
        self._looks = reactor.deadlines(max(look, TICK), UdpFlows._expire)

    def __len__(self) -> int:
        return len(self.waiting) + len(self.answered) + len(self.streams)

    def all(self) -> Iterator[UdpFlow]:
        """Yield every flow."""
        return chain(self.waiting, self.answered, self.streams)

    def connect(self, endpoint: Address) -> _socket.socket:
        """Return a socket for a new flow, at the cost of an old one when there is no room.

        Raises OSError: one of NO_SOCKET, or what speaks against the endpoint.
        """
        if len(self) >= self.limit:
            self._evict()
        try:
            return connected(endpoint)
        except OSError as error:
            if error.errno not in NO_SOCKET or not len(self):
                raise
        # Once only: where it does not help, ending all flows would not help either. Its descriptor and port are needed now.
        self._evict().close()
        return connected(endpoint)

    def add(self, flow: UdpFlow) -> None:
        """Begin to pass on the answers of `flow`, and to count its idle time."""
        self.waiting[flow] = None
        flow.listener.by_client[flow.client] = flow
        port = flow.listener.port
        port.counters.active += 1
        if port.outcomes is not None:
            port.outcomes.opened(flow.endpoint)
        self.reactor.targets[flow.fd] = flow
        self.reactor.epoll.register(flow.fd, select.EPOLLIN)
        if not len(self._looks):
            self._looks.add(self)

    def heard(self, flow: UdpFlow) -> None:
        """An answer came: start the idle time anew, and tell a stream from a question with its answer."""
        if flow.left:
            return
        now = flow.last = self.reactor.now
        if flow.queue is self.streams:
            flow.queue.move_to_end(flow)
        elif now - flow.begun >= STREAM_AGE:
            self._move(flow, self.streams)
        elif flow.queue is self.answered:
            flow.queue.move_to_end(flow)
        else:
            self._move(flow, self.answered)
        if not flow.answered:
            flow.answered = True
            flow.kept = None
            port = flow.listener.port
            port.counters.carried += 1
            if port.outcomes is not None:
                port.outcomes.reached(flow.endpoint)
            if self.recorder.following:
                self.recorder.answered(flow)

    def leave(self, flow: UdpFlow) -> None:
        """The client's next datagrams take another endpoint; answers of this one are passed on until it is idle."""
        flow.left = True
        flow.kept = None
        flow.listener.leaving.add(flow)
        flow.listener.by_client.pop(flow.client, None)
        if flow.queue is self.streams:
            flow.last = self.reactor.now
            self._move(flow, self.answered)

    def end(self, flow: UdpFlow, why: str | None = None) -> None:
        """End a flow; `why` goes into its record, None when another one takes its place."""
        if flow.closed:
            return
        flow.closed = True
        if why is not None and self.recorder.size:
            self.recorder.idle(flow, why)
        listener = flow.listener
        del flow.queue[flow]
        if flow.left:
            listener.leaving.discard(flow)
        else:
            del listener.by_client[flow.client]
        port = listener.port
        port.counters.active -= 1
        if port.outcomes is not None:
            port.outcomes.closed(flow.endpoint)
        self.reactor.targets.pop(flow.fd, None)
        self.reactor.close_later(flow.sock)

    def refused(self, flow: UdpFlow, code: int) -> None:
        """Record that no endpoint was left for the client of `flow`, which ended with an errno."""
        if self.recorder.size:
            self.recorder.given_up(flow, os.strerror(code))

    def endpoints_of(self, port: Port) -> list[Address]:
        """Return the endpoint of each flow of a Service port."""
        return [flow.endpoint for queue, _ in self._queues for flow in queue if flow.listener.port is port]

    def _evict(self) -> _socket.socket:
        """End the flow that was not used for the longest time: one that had its answer, else one that waits, else a stream.

        So a flood of new addresses pushes out neither slow answers nor streams (which conntrack's early drop spares, too).
        """
        flow = next(iter(next(queue for queue, _ in self._queues if queue)))
        flow.listener.port.counters.flows_evicted += 1
        self.end(flow, "made room for another one (--udp-max-flows)")
        return flow.sock

    @staticmethod
    def _move(flow: UdpFlow, queue: IdleQueue) -> None:
        del flow.queue[flow]
        flow.queue = queue
        queue[flow] = None

    def _expire(self) -> None:
        now = self.reactor.now
        for queue, seconds in self._queues:
            while queue:
                flow = next(iter(queue))
                if flow.last + seconds > now:
                    break
                self.end(flow, LEFT if flow.left else "" if flow.answered else NO_ANSWER)
        if len(self):
            self._looks.add(self)
