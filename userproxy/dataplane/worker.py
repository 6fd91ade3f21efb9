"""A worker process: accepts and relays, nothing else.

Owns its reactor loop and the worker's end of the wire. Started by `dataplane.pool` as `python -m userproxy.dataplane.worker FD
PARENT [transparent]`; ends when the control process closes the wire or dies.
"""

from __future__ import annotations

import gc
import os
import select
import signal
import socket
import sys

import msgspec
from msgspec import structs

from userproxy.core.affinity import AffinityRecords
from userproxy.core.plan import Serving
from userproxy.dataplane.acceptor import Acceptor
from userproxy.dataplane.compact import compact_serving, compact_spec
from userproxy.dataplane.inspection import inspect
from userproxy.dataplane.limits import descriptor_limit, with_flow_limit
from userproxy.dataplane.privileges import CAP_NET_RAW, drop_privileges
from userproxy.dataplane.reactor import Reactor
from userproxy.dataplane.sleeping import SleepingPorts, may_sleep
from userproxy.dataplane.sockets import handed_over
from userproxy.dataplane.wire import (
    TRANSPARENT,
    AffinityNews,
    Confirm,
    Confirmed,
    Flows,
    Follow,
    Forget,
    Inspect,
    Inspected,
    Listen,
    Message,
    Report,
    Serve,
    Setup,
    Unlisten,
    Wire,
    WireClosed,
    decode_head,
    decode_serving,
)
from userproxy.logs import set_up_worker
from userproxy.model import ListenerSpec, PortKey

REPORT_SECONDS = 0.25
"""Between two reports, which are the sign of life too."""
REPORT_PORTS = 500
"""Service ports in one report, so that a report never holds up a connection; the others come with the next ones."""

MANY_SERVINGS = 100
"""So many Service ports in one message are those of a start: the garbage collector would look at them again and again, find
nothing, and take a fifth of the time."""


class Worker:
    """One acceptor driven by the wire. Its own reactor target: messages are events like any other."""

    def __init__(self, wire: Wire) -> None:
        self._wire = wire
        self._reactor = Reactor()
        self._acceptor: Acceptor | None = None
        self._sleeping = SleepingPorts(self._reactor, self._wake, self.abort)
        self._affinity = AffinityRecords()
        self._start = 0.0
        self._workers = 1
        self._running = True
        self._reports = self._reactor.deadlines(REPORT_SECONDS, Worker._report)
        self._reactor.targets[wire.sock.fileno()] = self
        self._reactor.epoll.register(wire.sock.fileno(), select.EPOLLIN)

    def run(self) -> None:
        """Work until the control process is gone."""
        self._reports.add(self)
        self._reactor.run(lambda: self._running)
        if self._acceptor is not None:
            self._acceptor.reset_all()
        self._reactor.close()
        self._wire.close()

    def on_event(self, event: int) -> None:
        """Take what the control process says."""
        try:
            if event & select.EPOLLOUT:
                self._wire.flush()
                self._send_affinity()
            for message in self._wire.receive():
                self._handle(message)
            self._watch()
        except WireClosed:
            self._running = False

    def abort(self) -> None:
        """A message could not be handled, or a Service port not be woken: this worker ends and is replaced.

        Its state is not what it should be.
        """
        self._running = False

    def resume(self) -> None:
        """The turn of the reactor in which affinity records changed is over."""
        try:
            self._send_affinity()
            self._watch()
        except WireClosed:
            self._running = False

    def _handle(self, message: Message) -> None:
        if isinstance(message, Setup):
            self._set_up(message)
            return
        acceptor = self._acceptor
        if acceptor is None:
            raise RuntimeError("the first message must be Setup")
        if isinstance(message, Serve):
            if len(message.servings) >= MANY_SERVINGS:
                gc.disable()
            for encoded in message.servings:
                self._serve(acceptor, encoded)
        elif isinstance(message, Listen):
            descriptors = self._wire.take_descriptors(len(message.specs))
            for spec, descriptor in zip(message.specs, descriptors, strict=True):
                self._listen(acceptor, spec, handed_over(spec, descriptor))
        elif isinstance(message, Unlisten):
            for spec in message.specs:
                sock = self._sleeping.unlisten(spec) or acceptor.unlisten(spec)
                if sock is not None:
                    sock.close()
        elif isinstance(message, Forget):
            self._sleeping.forget(message.keys)
            acceptor.forget(message.keys)
        elif isinstance(message, AffinityNews):
            for key, told in message.ports:
                self._affinity.learn(key, told)
        elif isinstance(message, Follow):
            self._send_flows(acceptor)
            acceptor.flows.following = message.on
        elif isinstance(message, Confirm):
            self._wire.send(Confirmed(message.number, len(acceptor.connections)))
        elif isinstance(message, Inspect):
            if message.key is not None and message.key in self._sleeping:
                self._wake(message.key)
            found = inspect(acceptor, self._index, message.key, message.limit)
            self._wire.send(Inspected(message.number, found))

    def _serve(self, acceptor: Acceptor, encoded: msgspec.Raw) -> None:
        head = decode_head(encoded)
        if head.key in acceptor.ports:
            self._take_up(acceptor, encoded)
            return
        # A copy, so that the whole message need not stay for it.
        self._sleeping.put(head.key, bytes(encoded))
        if not may_sleep(head):
            self._wake(head.key)

    def _take_up(self, acceptor: Acceptor, encoded: bytes | msgspec.Raw) -> None:
        acceptor.serve([compact_serving(self._share(decode_serving(encoded)))], self._start)

    def _listen(self, acceptor: Acceptor, spec: ListenerSpec, sock: socket.socket) -> None:
        if spec.key in self._sleeping:
            self._sleeping.listen(spec, sock)
        else:
            acceptor.listen(compact_spec(spec, acceptor.ports[spec.key].key), sock)

    def _wake(self, key: PortKey) -> None:
        """Take up a Service port that nobody has used until now."""
        encoded, listeners = self._sleeping.take(key)
        if self._acceptor is not None:
            self._take_up(self._acceptor, encoded)
            for spec, sock in listeners:
                self._acceptor.listen(spec, sock, registered=True)

    def _share(self, serving: Serving) -> Serving:
        """Return what this worker's part of the limit on connections is, rounded up."""
        limit = serving.options.max_connections
        if not limit:
            return serving
        options = structs.replace(serving.options, max_connections=-(-limit // self._workers))
        return structs.replace(serving, options=options)

    def _set_up(self, setup: Setup) -> None:
        limit = descriptor_limit(setup.max_connections)
        self._index = setup.index
        self._start = setup.index / setup.workers
        self._workers = setup.workers
        # One worker alone tells nobody but its successor.
        self._affinity = AffinityRecords(setup.affinity_clients, self._affinity_changed)
        self._acceptor = Acceptor(
            self._reactor,
            setup.sockets,
            setup.half_close_timeout,
            limit,
            setup.flow_records,
            self._affinity,
            with_flow_limit(setup.udp, limit, setup.workers),
            setup.transparent,
        )
        gc.collect()
        gc.freeze()

    def _report(self) -> None:
        self._reports.add(self)
        acceptor = self._acceptor
        if not gc.isenabled():
            if acceptor is not None and not acceptor.connections:
                gc.freeze()
            gc.enable()
        # While the control process does not read, nothing is added to what waits for it: the next report says all.
        if acceptor is None or self._wire.waiting:
            return
        counters = acceptor.changed_counters(REPORT_PORTS)
        try:
            self._wire.send(Report(tuple(counters), len(acceptor.connections), acceptor.paused))
            if acceptor.flows.following:
                self._send_flows(acceptor)
            self._watch()
        except WireClosed:
            self._running = False

    def _send_flows(self, acceptor: Acceptor) -> None:
        records, lost = acceptor.flows.take()
        # What was overwritten while nobody followed is not lost: nobody could have had it.
        lost = lost if acceptor.flows.following else 0
        if records or lost:
            self._wire.send(Flows(records, lost))

    def _affinity_changed(self) -> None:
        self._reactor.ready.append(self)

    def _send_affinity(self) -> None:
        # What waits for a control process that does not read is bounded this way by the records there are.
        if not self._wire.waiting:
            news = self._affinity.take_news()
            if news:
                self._wire.send(AffinityNews(news))

    def _watch(self) -> None:
        events = select.EPOLLIN | select.EPOLLOUT if self._wire.waiting else select.EPOLLIN
        self._reactor.epoll.modify(self._wire.sock.fileno(), events)


def main() -> None:
    """Entry point of the process."""
    descriptor, parent = int(sys.argv[1]), int(sys.argv[2])
    set_up_worker(os.environ)
    # Terminals and systemd signal the whole group; when a worker ends is the control process's decision, which drains first.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    # Only transparent dials need a capability, the weakest that the kernel takes for IP_TRANSPARENT.
    drop_privileges(parent, keep=CAP_NET_RAW if sys.argv[3:] == [TRANSPARENT] else None)
    Worker(Wire(socket.socket(fileno=descriptor))).run()


if __name__ == "__main__":
    main()
