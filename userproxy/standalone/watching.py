"""Watches: the stream of changes that one client asked for, from where it asked, until it ends.

Owns the events of the stream (initial, live, bookmarks, expired) and its bounds: a client that falls behind the changes
by more than the backlog is cut off and lists again. The HTTP response and the store are given in.
"""

from __future__ import annotations

import asyncio
import logging
from collections import deque
from collections.abc import Awaitable, Callable

import msgspec

from userproxy.errors import StoreError
from userproxy.standalone import statuses, wire
from userproxy.standalone.conforming import conform
from userproxy.standalone.kinds import Kind
from userproxy.standalone.objects import Json
from userproxy.standalone.options import ListOptions
from userproxy.standalone.store import Event, ExpiredVersion, MemoryStore, with_version

log = logging.getLogger(__name__)

_CHUNK = 64 * 1024
"""Bytes gathered before they are written."""
_BOOKMARK_BEFORE_END = 2.0
"""Seconds before the end of a watch at which a last bookmark goes out."""
INITIAL_EVENTS_END = "k8s.io/initial-events-end"

Write = Callable[[bytes], Awaitable[None]]
Show = Callable[[Json], Json]


class WatchLimits(msgspec.Struct, frozen=True):
    """Bounds of a watch: `backlog` events not yet written, `bookmark_period` seconds between bookmarks."""

    backlog: int = 4096
    bookmark_period: float = 60.0


class Watch:
    """One watch. Made at the moment from which on changes count; `run` then sends them."""

    def __init__(
        self,
        store: MemoryStore,
        kind: Kind,
        namespace: str,
        options: ListOptions,
        show: Show,
        limits: WatchLimits,
        cut_off: Callable[[], None],
    ) -> None:
        self._store = store
        self._kind = kind
        self._prefix = f"{namespace}/" if namespace else ""
        self._options = options
        self._show = show
        self._limits = limits
        self._cut_off = cut_off
        self._queue: deque[Event] = deque()
        self._wake = asyncio.Event()
        self._ended = False
        self._start_version = store.version
        self._initial: list[Json] = []
        self._expired: statuses.Refusal | None = None
        self._begin()
        self._leave = store.subscribe(kind, self._on_event)

    def _begin(self) -> None:
        """Collect what comes before the live events, in the same turn of the loop as the subscription."""
        version, initial = self._options.version, self._options.send_initial_events
        if initial or (initial is None and not version):
            found = self._store.items(self._kind, prefix=self._prefix)
            self._initial = [item for _key, item in found if self._options.test(item)]
        elif version:
            try:
                self._queue.extend(self._store.events_after(self._kind, version))
            except ExpiredVersion as expired:
                self._expired = statuses.expired_watch(version, expired.oldest)

    def _on_event(self, event: Event) -> None:
        if len(self._queue) >= self._limits.backlog:
            log.info(
                "a watch of %s fell %d events behind and is cut off", self._kind.plural, len(self._queue)
            )
            self.end()
            self._queue.clear()
            self._cut_off()
            return
        self._queue.append(event)
        self._wake.set()

    def end(self) -> None:
        """End the stream after what is being written now; may be called at any time."""
        self._ended = True
        self._leave()
        self._wake.set()

    async def run(self, write: Write, lifetime: float) -> None:
        """Send events until the watch ends by itself after `lifetime` seconds, or by `end`."""
        try:
            async with asyncio.timeout(lifetime):
                await self._send_initial(write)
                await self._send_live(write, asyncio.get_running_loop().time() + lifetime)
        except TimeoutError:
            log.debug("a watch of %s reached its time", self._kind.plural)
        except StoreError as fault:
            log.debug("a watch of %s ends: %s", self._kind.plural, fault)
        finally:
            self._leave()

    async def _send_initial(self, write: Write) -> None:
        if self._expired is not None:
            await write(_line("ERROR", self._expired.status()))
            self._ended = True
            return
        initial, self._initial = self._initial, []
        await self._store.settle()
        await self._write_lines(write, [("ADDED", item) for item in initial])
        if self._options.send_initial_events and self._options.bookmarks:
            end = self._bookmark(self._start_version)
            end["metadata"]["annotations"] = {INITIAL_EVENTS_END: "true"}
            await self._write_lines(write, [("BOOKMARK", end)])

    async def _send_live(self, write: Write, end: float) -> None:
        loop = asyncio.get_running_loop()
        next_bookmark = self._after(loop.time(), end)
        while not self._ended:
            self._wake.clear()
            events = list(self._queue)
            self._queue.clear()
            version = self._store.version
            # a client that saw a change which is then lost would miss the one that gets its version
            await self._store.settle()
            lines = [line for event in events if (line := self._seen(event)) is not None]
            await self._write_lines(write, lines)
            if loop.time() >= next_bookmark:
                next_bookmark = self._after(loop.time(), end)
                # everything up to the version at the time of emptying the queue has been sent, and no more
                if self._options.bookmarks and version > self._start_version:
                    await self._write_lines(write, [("BOOKMARK", self._bookmark(version))])
            try:
                async with asyncio.timeout_at(next_bookmark):
                    await self._wake.wait()
            except TimeoutError:
                pass

    def _after(self, now: float, end: float) -> float:
        last = end - _BOOKMARK_BEFORE_END
        usual = now + self._limits.bookmark_period
        return min(usual, last) if now < last else max(usual, end)

    def _seen(self, event: Event) -> tuple[str, Json] | None:
        """Return type and object of the event as this client sees the change, None when it does not."""
        if event.version <= (self._options.version or 0) or not event.key.startswith(self._prefix):
            return None
        was = event.previous is not None and self._options.test(event.previous)
        if event.current is not None and self._options.test(event.current):
            return ("MODIFIED" if was else "ADDED"), event.current
        if was and event.previous is not None:
            return "DELETED", with_version(event.previous, event.version)
        return None

    def _bookmark(self, version: int) -> Json:
        """Return an object that holds nothing but a version and the fields no object can be without."""
        item = conform({"metadata": {"resourceVersion": str(version)}}, self._kind.shape).item
        item["kind"], item["apiVersion"] = self._kind.kind, self._kind.api_version
        return item

    async def _write_lines(self, write: Write, lines: list[tuple[str, Json]]) -> None:
        buffer: list[bytes] = []
        size = 0
        for kind, item in lines:
            line = _line(kind, self._show(item))
            buffer.append(line)
            size += len(line)
            if size >= _CHUNK:
                await write(b"".join(buffer))
                buffer, size = [], 0
        if buffer:
            await write(b"".join(buffer))


def _line(kind: str, item: Json) -> bytes:
    return b'{"type":"%s","object":%s}\n' % (kind.encode(), wire.encode(item))
