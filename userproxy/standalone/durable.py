"""The store that survives the process: the one in memory, and every change of it written to the data directory.

Owns when changes are written. All that have gathered while one transaction is on its way form the next one, so the time of
an fsync does not bound the writes per second. A change shows in memory at once, but nobody outside is told of it, neither who
made it nor who reads or watches, before `settle` has returned: what was told is never lost and no version is given out twice.
"""

from __future__ import annotations

import asyncio
import logging
from collections import deque
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from userproxy.errors import StoreError
from userproxy.standalone.database import Changes, Database, Row
from userproxy.standalone.kinds import KINDS
from userproxy.standalone.objects import Json
from userproxy.standalone.store import HISTORY, Event, MemoryStore

log = logging.getLogger(__name__)

_OBSOLETE_AT_ONCE = 500
"""States that are removed together, as each removal touches pages that are not written otherwise."""
_RETRY_SECONDS = 1.0
"""Pause after a write that failed, such as on a full disk."""


def open_store(directory: Path | None) -> MemoryStore:
    """Return the store of a data directory, or one in memory for None. Raises StoreError."""
    if directory is None:
        return MemoryStore()
    database = Database(directory)
    try:
        return DurableStore(database)
    except BaseException:
        database.close()
        raise


class DurableStore(MemoryStore):
    """A MemoryStore with a file behind it; closes the database in the end."""

    def __init__(self, database: Database, *, start: int | None = None, history: int = HISTORY) -> None:
        """Read everything. `start` is the first version of a new store. Raises StoreError."""
        origin = database.counter("origin")
        super().__init__(start=start if origin is None else origin, history=history)
        self._database = database
        self._thread = ThreadPoolExecutor(max_workers=1, thread_name_prefix="store")
        self._gathered = Changes()
        self._made = self._handed = self._safe = 0
        """Number of changes made, of those given to the thread, and of those that are on the disk."""
        self._queue: deque[tuple[Changes, int]] = deque()
        """What the thread has to write, and the number of changes made until then."""
        self._running: asyncio.Future[None] | None = None
        self._called: asyncio.Handle | None = None
        self._waiting: deque[tuple[int, asyncio.Future[None]]] = deque()
        """Who waits for a number of changes to be on the disk, lowest number first."""
        self._fault: StoreError | None = None
        self._closed = False
        if origin is None:
            database.set_origin(self._version)
        else:
            self._load(database)

    def _load(self, database: Database) -> None:
        kinds = {kind.resource: kind for kind in KINDS}
        floors = database.floors()
        for row in database.rows():
            kind = kinds.get(row.kind)
            if kind is None:
                log.warning("%s holds %s %s, a kind that is not known here", database.file, row.kind, row.key)
                continue
            shelf = self._shelf(kind)
            shelf.known_from = floors.get(row.kind, self._start)
            previous = shelf.objects.pop(row.key, None)
            if row.item is not None:
                shelf.objects[row.key] = row.item
            if row.version > shelf.known_from:
                shelf.past.append(Event(kind, row.version, row.key, row.item, previous))
        for resource, floor in floors.items():
            if resource in kinds:
                self._shelf(kinds[resource]).known_from = floor
        for shelf in self._shelves.values():
            shelf.keys = sorted(shelf.objects)
            self._trim(shelf)
        self._notes = database.notes()
        self._version = database.counter("version") or self._start

    # ---- gathering -------------------------------------------------------------------------------------------

    def note(self, name: str, value: Json | None) -> None:
        """Keep a small record beside the objects, None to forget it."""
        super().note(name, value)
        self._gathered.notes[name] = value
        self._changed()

    def _keep(self, event: Event) -> None:
        self._gathered.rows.append(Row(event.version, event.kind.resource, event.key, event.current))
        self._changed()

    def _forget(self, event: Event) -> None:
        """Drop the state that this change ended: the history now begins with the state after the change."""
        self._gathered.floors[event.kind.resource] = event.version
        if event.previous is not None:
            self._gathered.obsolete.append(int(event.previous["metadata"]["resourceVersion"]))
        if event.current is None:
            self._gathered.obsolete.append(event.version)

    def _changed(self) -> None:
        self._made += 1
        if self._called is None:
            try:
                loop = asyncio.get_running_loop()
            except RuntimeError:
                return  # before the loop runs; `settle` or `close` writes it
            self._called = loop.call_soon(self._write)

    # ---- writing ---------------------------------------------------------------------------------------------

    @property
    def fault(self) -> StoreError | None:
        """Why nothing can be written at present, None when all is well; it is tried again by itself."""
        return self._fault

    async def settle(self) -> None:
        """Return when every change made until now is on the disk. Raises StoreError when the disk does not take it."""
        wanted = self._made
        if self._safe >= wanted:
            return
        if self._fault is not None:
            raise self._fault
        if self._running is None:
            self._write()
        waiting: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._waiting.append((wanted, waiting))
        await waiting

    def _write(self) -> None:
        if self._called is not None:
            self._called.cancel()
            self._called = None
        if self._closed:
            return
        if self._made > self._handed:
            self._queue.append((self._taken(), self._made))
            self._handed = self._made
        if self._running is None and self._queue:
            loop = asyncio.get_running_loop()
            self._running = loop.run_in_executor(self._thread, self._drain, loop)
            self._running.add_done_callback(self._drained)

    def _taken(self) -> Changes:
        """Return what has gathered. What goes may go later: after a crash there is but more history than needed."""
        changes, self._gathered = self._gathered, Changes()
        if len(changes.obsolete) < min(_OBSOLETE_AT_ONCE, self._history):
            self._gathered.obsolete, changes.obsolete = changes.obsolete, []
            self._gathered.floors, changes.floors = changes.floors, {}
        return changes

    def _drain(self, loop: asyncio.AbstractEventLoop) -> None:
        """Write what is in the queue, in the thread; all that is there when a transaction begins goes into it."""
        while self._queue:
            changes, made = self._queue.popleft()
            while self._queue:
                later, made = self._queue.popleft()
                changes.merge(later)
            try:
                self._database.write(changes)
            except BaseException:
                self._queue.appendleft((changes, made))
                raise
            loop.call_soon_threadsafe(self._landed, made)

    def _landed(self, made: int) -> None:
        """Know that so many changes are on the disk."""
        if self._fault is not None:
            log.info("%s can be written again", self._database.file)
        self._safe, self._fault = made, None
        self._wake(made)

    def _drained(self, done: asyncio.Future[None]) -> None:
        self._running = None
        fault = None if done.cancelled() else done.exception()
        if fault is None:
            self._write()  # what came after the thread's last look
            return
        if not isinstance(fault, StoreError):
            log.error("a write to %s failed; this is a bug", self._database.file, exc_info=fault)
            fault = StoreError(f"store {self._database.file} cannot be written")
        elif self._fault is None:
            log.error("%s; requests are refused until then", fault)
        self._fault = fault
        if self._called is not None:
            self._called.cancel()
        self._called = asyncio.get_running_loop().call_later(_RETRY_SECONDS, self._write)
        self._wake(self._made)

    def _wake(self, upto: int) -> None:
        """Let those go on who wait for no more than `upto` changes; with a fault they are told of it."""
        while self._waiting and self._waiting[0][0] <= upto:
            _wanted, waiting = self._waiting.popleft()
            if waiting.done():
                continue  # was cancelled
            if self._fault is None:
                waiting.set_result(None)
            else:
                waiting.set_exception(self._fault)

    async def close(self) -> None:
        """Write what is left and close the file; what cannot be written is told in the log. May be called twice."""
        if self._closed:
            return
        self._fault = None
        try:
            await self.settle()
        except StoreError as fault:
            log.error("changes are lost: %s", fault)
        self._closed = True
        if self._called is not None:
            self._called.cancel()
        self._thread.shutdown()
        self._database.close()
