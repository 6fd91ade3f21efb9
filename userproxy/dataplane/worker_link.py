"""One worker as the control process sees it: its process, its end of the wire, and what it reported last.

Owns the life of one process from start to reaping. How many workers there are, and what they are told, is `dataplane.pool`'s
work.
"""

from __future__ import annotations

import asyncio
import logging
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterable, Sequence
from itertools import islice

from userproxy.core.counters import PortCounters
from userproxy.core.flows import Flow
from userproxy.core.inspection import Inspection
from userproxy.dataplane.wire import (
    MAX_DESCRIPTORS,
    TRANSPARENT,
    AffinityNews,
    Confirm,
    Confirmed,
    Flows,
    Inspect,
    Inspected,
    Listen,
    Report,
    ToWorker,
    Unlisten,
    Wire,
    WireClosed,
)
from userproxy.logs import worker_environment
from userproxy.model import ListenerSpec, PortKey

log = logging.getLogger(__name__)

KEPT_ENVIRONMENT = ("PATH", "PYTHONPATH", "PYTHONHOME", "LANG", "LC_ALL", "TZ", "VIRTUAL_ENV")
"""All that a worker gets of the environment: it may hold credentials, which a worker does not need."""


class WorkerLink:
    """A running worker. `lost` is called once, when its wire closes; `socket_of` gives what this worker listens on."""

    def __init__(
        self,
        index: int,
        socket_of: Callable[[ListenerSpec, int], socket.socket],
        lost: Callable[[WorkerLink], None],
        flows: Callable[[Sequence[Flow], int], None],
        affinity: Callable[[WorkerLink, AffinityNews], None],
        *,
        transparent: bool = False,
    ) -> None:
        ours, theirs = socket.socketpair()
        environment = {name: os.environ[name] for name in KEPT_ENVIRONMENT if name in os.environ}
        environment |= worker_environment()
        with theirs:
            arguments = [str(theirs.fileno()), str(os.getpid()), *([TRANSPARENT] if transparent else [])]
            self.process = subprocess.Popen(
                [sys.executable, "-m", "userproxy.dataplane.worker", *arguments],
                pass_fds=[theirs.fileno()],
                stdin=subprocess.DEVNULL,
                env=environment,
            )
        self.index = index
        self.started = self.heard = time.monotonic()
        self.counters: dict[PortKey, PortCounters] = {}
        self.connections = 0
        self.paused = 0
        self._socket_of = socket_of
        self._lost = lost
        self._flows = flows
        self._affinity = affinity
        self._wire = Wire(ours)
        self._open = True
        self._number = 0
        self._unheard: dict[ListenerSpec, None] = {}
        """listeners to be handed over when the wire takes more: what waits there holds a copy of each descriptor"""
        self._unasked: list[int] = []
        """confirmations to ask for after that"""
        self._confirmations: dict[int, asyncio.Future[None]] = {}
        self._inspections: dict[int, asyncio.Future[Inspection | None]] = {}
        self._loop = asyncio.get_running_loop()
        self._loop.add_reader(ours.fileno(), self._readable)

    def send(self, message: ToWorker | bytes, descriptors: Sequence[int] = ()) -> None:
        """Tell the worker something, encoded or as it is; a worker that is gone is noticed, not raised."""
        if not self._open:
            return
        try:
            self._wire.send(message, descriptors)
        except WireClosed:
            # Reading comes to the end by itself, after what the worker said before it went.
            return
        if self._wire.waiting:
            self._loop.add_writer(self._wire.sock.fileno(), self._writable)

    def listen(self, specs: Iterable[ListenerSpec]) -> None:
        """Hand listeners over, as fast as the worker takes them."""
        self._unheard.update(dict.fromkeys(specs))
        self._hand_over()

    def unlisten(self, specs: Sequence[ListenerSpec]) -> None:
        """Make the worker let go of listeners; after its confirmation they may be closed."""
        heard = tuple(spec for spec in specs if spec not in self._unheard)
        for spec in specs:
            self._unheard.pop(spec, None)
        self.send(Unlisten(heard))

    def confirmation(self) -> asyncio.Future[None]:
        """Return a future that is done when the worker has done all it was told so far, or is gone."""
        done = self._loop.create_future()
        if not self._open:
            done.set_result(None)
            return done
        self._number += 1
        self._confirmations[self._number] = done
        self._unasked.append(self._number)
        self._hand_over()
        return done

    def inspection(self, key: PortKey | None, limit: int) -> asyncio.Future[Inspection | None]:
        """Ask for a look inside; the result is None when the worker is gone."""
        found: asyncio.Future[Inspection | None] = self._loop.create_future()
        if not self._open:
            found.set_result(None)
            return found
        self._number += 1
        self._inspections[self._number] = found
        self.send(Inspect(self._number, key, limit))
        return found

    def end(self) -> None:
        """Close the wire, which tells the worker to end, and reap it; one that does not end is killed."""
        self._close(report=False)
        try:
            self.process.wait(0.5)
        except subprocess.TimeoutExpired:
            self.kill()
            self.process.wait()

    def kill(self) -> None:
        """End the process by force."""
        self.process.send_signal(signal.SIGKILL)

    def _readable(self) -> None:
        try:
            for message in self._wire.receive():
                self.heard = time.monotonic()
                if isinstance(message, Report):
                    self.counters.update(message.counters)
                    self.connections = message.connections
                    self.paused = message.paused
                elif isinstance(message, Flows):
                    self._flows(message.records, message.lost)
                elif isinstance(message, AffinityNews):
                    self._affinity(self, message)
                elif isinstance(message, Inspected):
                    self._inspected(message.number, message.inspection)
                elif isinstance(message, Confirmed):
                    self.connections = message.connections
                    self._confirmed(message.number)
        except WireClosed:
            self._close()

    def _writable(self) -> None:
        try:
            self._wire.flush()
        except WireClosed:
            self._loop.remove_writer(self._wire.sock.fileno())
            return
        if not self._wire.waiting:
            self._loop.remove_writer(self._wire.sock.fileno())
            self._hand_over()

    def _hand_over(self) -> None:
        while self._unheard and self._open and not self._wire.waiting:
            part = tuple(islice(self._unheard, MAX_DESCRIPTORS))
            for spec in part:
                del self._unheard[spec]
            self.send(Listen(part), [self._socket_of(spec, self.index).fileno() for spec in part])
        if not self._unheard:
            for number in self._unasked:
                self.send(Confirm(number))
            self._unasked.clear()

    def _confirmed(self, number: int) -> None:
        done = self._confirmations.pop(number, None)
        if done is not None and not done.done():
            done.set_result(None)

    def _inspected(self, number: int, inspection: Inspection | None) -> None:
        found = self._inspections.pop(number, None)
        if found is not None and not found.done():
            found.set_result(inspection)

    def _close(self, *, report: bool = True) -> None:
        if not self._open:
            return
        self._open = False
        self._loop.remove_reader(self._wire.sock.fileno())
        self._loop.remove_writer(self._wire.sock.fileno())
        self._wire.close()
        for number in tuple(self._confirmations):
            self._confirmed(number)
        for number in tuple(self._inspections):
            self._inspected(number, None)
        if report:
            self._lost(self)
