"""One epoll for all data sockets, and what has to happen around it: ready list, deadlines, safe closing.

Owns the event dispatch. The epoll's own descriptor is the only thing a surrounding event loop sees (nested epoll), so data
sockets cost no task, future or transport. Knows nothing of connections: a descriptor's target gets the event mask.
Source: epoll(7); measured against uvloop's add_reader (five system calls for each descriptor).
"""

from __future__ import annotations

import logging
import select
import time
from collections import OrderedDict, deque
from collections.abc import Callable
from typing import Any, Generic, Protocol, TypeVar

log = logging.getLogger(__name__)

MAX_EVENTS = 256
"""Events handled before the surrounding loop gets its turn."""
BUFFER_SIZE = 256 * 1024
"""Bytes of the shared receive buffer; measured best between 64 KiB and 1 MiB."""
TICK = 0.05
"""Seconds between looks at the deadlines while there are any; the precision of all of them."""

Item = TypeVar("Item")


class EventTarget(Protocol):
    """What a registered descriptor belongs to."""

    def on_event(self, event: int) -> None:
        """Handle an epoll event mask."""

    def abort(self) -> None:
        """End at once: an exception came out of `on_event` or `resume`."""


class Resumable(EventTarget, Protocol):
    """A target that may put itself on the ready list."""

    def resume(self) -> None:
        """Go on where the fairness budget ended."""


class Closable(Protocol):
    """A socket, as far as closing is concerned."""

    def close(self) -> None: ...


class Schedule(Protocol):
    """The part of an event loop that the reactor uses."""

    def add_reader(self, fd: int, callback: Callable[[], None]) -> None: ...

    def remove_reader(self, fd: int) -> object:
        """asyncio returns whether there was one, uvloop nothing."""

    def call_soon(self, callback: Callable[[], None]) -> object: ...

    def call_later(self, delay: float, callback: Callable[[], None]) -> object: ...


class Deadlines(Generic[Item]):
    """Items that all have the same time to live, in the order in which they were added."""

    __slots__ = ("_items", "_reactor", "expired", "seconds")

    def __init__(self, reactor: Reactor, seconds: float, expired: Callable[[Item], None]) -> None:
        self._reactor = reactor
        self._items: OrderedDict[Item, float] = OrderedDict()
        self.seconds = seconds
        self.expired = expired

    def __len__(self) -> int:
        return len(self._items)

    def add(self, item: Item) -> None:
        """Start the time of `item`; an item already there starts anew."""
        self._items[item] = self._reactor.now + self.seconds
        self._items.move_to_end(item)
        self._reactor.arm()

    def discard(self, item: Item) -> None:
        """Forget `item` if it is there."""
        self._items.pop(item, None)

    def expire(self, now: float) -> None:
        """Call `expired` for each item whose time is over."""
        while self._items:
            item, due = next(iter(self._items.items()))
            if due > now:
                return
            del self._items[item]
            self.expired(item)


class Countdown(Generic[Item]):
    """Items whose time starts when they are added and cannot be stopped: whoever is called looks if it still matters.

    For what happens to every connection: adding costs a tenth of what `Deadlines` asks for adding and discarding.
    """

    __slots__ = ("_items", "_reactor", "expired", "seconds")

    def __init__(self, reactor: Reactor, seconds: float, expired: Callable[[Item], None]) -> None:
        self._reactor = reactor
        self._items: deque[tuple[float, Item]] = deque()
        self.seconds = seconds
        self.expired = expired

    def __len__(self) -> int:
        return len(self._items)

    def add(self, item: Item) -> None:
        """Start the time of `item`."""
        reactor = self._reactor
        self._items.append((reactor.now + self.seconds, item))
        if not reactor.armed:
            reactor.arm()

    def expire(self, now: float) -> None:
        """Call `expired` for each item whose time is over."""
        items = self._items
        while items and items[0][0] <= now:
            self.expired(items.popleft()[1])


class Reactor:
    """Dispatches events of registered descriptors to their targets, in bounded batches."""

    def __init__(self) -> None:
        self.epoll = select.epoll()
        self.targets: dict[int, EventTarget] = {}
        self.ready: deque[Resumable] = deque()
        self.buffer = memoryview(bytearray(BUFFER_SIZE))
        self.now = time.monotonic()
        self.failures = 0
        self._deadlines: list[Deadlines[Any] | Countdown[Any]] = []
        self.closing: list[Closable] = []
        """closed after this batch: until then no other socket can get the descriptor number, for which events may wait"""
        self._loop: Schedule | None = None
        self.armed = False
        self._resumed = False

    def attach(self, loop: Schedule) -> None:
        """Let `loop` run the batches from now on."""
        self._loop = loop
        loop.add_reader(self.epoll.fileno(), self.run_batch)

    def close(self) -> None:
        """Leave the loop and close the epoll; whoever registered sockets has closed them before."""
        if self._loop is not None:
            self._loop.remove_reader(self.epoll.fileno())
            self._loop = None
        self._close_deferred()
        self.epoll.close()

    def deadlines(self, seconds: float, expired: Callable[[Item], None]) -> Deadlines[Item]:
        """Return a new queue of deadlines, all `seconds` after an item was added."""
        queue = Deadlines(self, seconds, expired)
        self._deadlines.append(queue)
        return queue

    def countdown(self, seconds: float, expired: Callable[[Item], None]) -> Countdown[Item]:
        """Return a new queue of countdowns of `seconds` each."""
        queue = Countdown(self, seconds, expired)
        self._deadlines.append(queue)
        return queue

    def close_later(self, sock: Closable) -> None:
        """Close `sock` after this batch; what runs for every connection appends to `closing` itself."""
        self.closing.append(sock)

    def run(self, running: Callable[[], bool]) -> None:
        """Be the loop oneself, in a process that does nothing else, as long as `running` says so."""
        self.armed = True
        tick = time.monotonic() + TICK
        while running():
            self.run_batch(0 if self.ready else TICK)
            if self.now >= tick:
                tick = self.now + TICK
                self._look_at_deadlines()

    def run_batch(self, timeout: float = 0) -> None:
        """Handle the events that come within `timeout` seconds, at most MAX_EVENTS, then one turn of the ready list."""
        targets = self.targets
        events = self.epoll.poll(timeout, MAX_EVENTS)
        self.now = time.monotonic()
        for fd, event in events:
            target = targets.get(fd)
            if target is not None:
                try:
                    target.on_event(event)
                except Exception:
                    self._failed(target)
        if self.ready:
            self._run_ready()
        if self.closing:
            self._close_deferred()

    def arm(self) -> None:
        """Make sure that the deadlines are looked at within TICK."""
        if not self.armed:
            self.armed = True
            if self._loop is not None:
                self._loop.call_later(TICK, self._tick)

    def _run_ready(self) -> None:
        for _ in range(len(self.ready)):
            target = self.ready.popleft()
            try:
                target.resume()
            except Exception:
                self._failed(target)
        if self.ready and not self._resumed and self._loop is not None:
            self._resumed = True
            self._loop.call_soon(self._resume)

    def _resume(self) -> None:
        self._resumed = False
        if self._loop is not None:
            self.run_batch()

    def _tick(self) -> None:
        self.armed = False
        if self._loop is None:
            return
        self.now = time.monotonic()
        self._look_at_deadlines()
        if any(len(queue) for queue in self._deadlines):
            self.arm()

    def _look_at_deadlines(self) -> None:
        for queue in self._deadlines:
            queue.expire(self.now)
        if self.closing:
            self._close_deferred()

    def _close_deferred(self) -> None:
        closing, self.closing = self.closing, []
        for sock in closing:
            try:
                sock.close()
            except OSError as error:
                # close() reports a pending error of the connection (ECONNRESET); the descriptor is released all the same.
                log.debug("closing a socket: %s", error)

    def _failed(self, target: EventTarget) -> None:
        self.failures += 1
        log.exception("a bug ended one connection, the others go on; please report it: %r", target)
        target.abort()
