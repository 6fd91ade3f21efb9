"""Where objects live: in memory, under one monotonic version, with the recent past of each kind kept for watches.

Owns versions, order and history. Knows no rules about objects (the registry does) and no HTTP. Reads and writes are
synchronous: between two awaits of its callers the store does not change, so a list and the watch that follows it fit
together. What keeps the objects beyond the process is in `durable`; whoever tells somebody else what the store holds awaits
`settle` first.
"""

from __future__ import annotations

import bisect
import time
from collections import deque
from collections.abc import Callable, Iterator

import msgspec

from userproxy.errors import StoreError
from userproxy.standalone.kinds import Kind
from userproxy.standalone.objects import Json, key_of, metadata_of

HISTORY = 4096
"""Events kept for each kind. A client that is further behind gets 410 and lists again."""


class Event(msgspec.Struct, frozen=True, eq=False):
    """One change. `current` is None for a deletion, `previous` None for a creation; both never change afterwards."""

    kind: Kind
    version: int
    key: str
    current: Json | None
    previous: Json | None


class ExpiredVersion(Exception):
    """A version whose past is no longer known; `oldest` is the first that is."""

    def __init__(self, oldest: int) -> None:
        super().__init__(f"nothing known before version {oldest}")
        self.oldest = oldest


Listener = Callable[[Event], None]


class _Shelf:
    """All objects of one kind."""

    def __init__(self, start: int) -> None:
        self.objects: dict[str, Json] = {}
        self.keys: list[str] = []
        self.past: deque[Event] = deque()
        self.known_from = start
        self.listeners: list[Listener] = []


def first_version() -> int:
    """Return a version above all that earlier runs of this machine gave out.

    A client that comes back with a version of a former, lost store must get 410 and list again. Were versions to begin at
    1, its version would lie in the future, and it would wait in silence. Units of 10 µs outrun any writer.
    """
    return int(time.time() * 100_000)


class MemoryStore:
    """Objects by kind and key. The only writer of versions."""

    def __init__(self, *, start: int | None = None, history: int = HISTORY) -> None:
        self._start = first_version() if start is None else start
        self._version = self._start
        self._history = history
        self._shelves: dict[Kind, _Shelf] = {}
        self._notes: dict[str, Json] = {}

    @property
    def version(self) -> int:
        """Version of the last change of any object."""
        return self._version

    @property
    def fault(self) -> StoreError | None:
        """Why nothing can be kept at present, None when all is well."""
        return None

    async def settle(self) -> None:
        """Return when every change made until now is as safe as this store makes it. Raises StoreError."""

    async def close(self) -> None:
        """Release what the store holds. May be called twice."""

    def note(self, name: str, value: Json | None) -> None:
        """Keep a small record beside the objects, None to forget it. Notes have no version and no watchers."""
        if value is None:
            self._notes.pop(name, None)
        else:
            self._notes[name] = value

    def notes(self, prefix: str) -> dict[str, Json]:
        """Return the records whose names begin with `prefix`."""
        return {name: value for name, value in self._notes.items() if name.startswith(prefix)}

    def get(self, kind: Kind, key: str) -> Json | None:
        """Return an object, or None. It must not be changed."""
        return self._shelf(kind).objects.get(key)

    def put(self, kind: Kind, item: Json) -> Json:
        """Store an object under its key as the newest state; sets its resourceVersion and returns it."""
        key = key_of(item)
        shelf = self._shelf(kind)
        self._version += 1
        metadata_of(item)["resourceVersion"] = str(self._version)
        previous = shelf.objects.get(key)
        if previous is None:
            bisect.insort(shelf.keys, key)
        shelf.objects[key] = item
        self._record(shelf, Event(kind, self._version, key, item, previous))
        return item

    def delete(self, kind: Kind, key: str) -> Json:
        """Remove an object and return its last state with the version of the deletion. Raises KeyError."""
        shelf = self._shelf(kind)
        previous = shelf.objects.pop(key)
        del shelf.keys[bisect.bisect_left(shelf.keys, key)]
        self._version += 1
        self._record(shelf, Event(kind, self._version, key, None, previous))
        return with_version(previous, self._version)

    def items(self, kind: Kind, after: str = "", prefix: str = "") -> Iterator[tuple[str, Json]]:
        """Yield (key, object) in key order: keys above `after` that begin with `prefix`."""
        shelf = self._shelf(kind)
        yield from _slice(shelf.keys, shelf.objects, after, prefix)

    def items_at(
        self, kind: Kind, version: int, after: str = "", prefix: str = ""
    ) -> Iterator[tuple[str, Json]]:
        """Yield what `items` would have yielded at an earlier version. Raises ExpiredVersion."""
        shelf = self._shelf(kind)
        newer = self.events_after(kind, version)
        if not newer:
            yield from _slice(shelf.keys, shelf.objects, after, prefix)
            return
        objects = dict(shelf.objects)
        for event in reversed(newer):
            if event.previous is None:
                objects.pop(event.key, None)
            else:
                objects[event.key] = event.previous
        yield from _slice(sorted(objects), objects, after, prefix)

    def events_after(self, kind: Kind, version: int) -> list[Event]:
        """Return the changes of a kind above a version, oldest first. Raises ExpiredVersion."""
        shelf = self._shelf(kind)
        if version < shelf.known_from:
            raise ExpiredVersion(shelf.known_from)
        newer: list[Event] = []
        for event in reversed(shelf.past):
            if event.version <= version:
                break
            newer.append(event)
        newer.reverse()
        return newer

    def subscribe(self, kind: Kind, listener: Listener) -> Callable[[], None]:
        """Call `listener` at once with every later change of a kind; it must not block or write. Returns the way out."""
        listeners = self._shelf(kind).listeners
        listeners.append(listener)

        def leave() -> None:
            if listener in listeners:
                listeners.remove(listener)

        return leave

    def _shelf(self, kind: Kind) -> _Shelf:
        shelf = self._shelves.get(kind)
        if shelf is None:
            shelf = self._shelves[kind] = _Shelf(self._start)
        return shelf

    def _record(self, shelf: _Shelf, event: Event) -> None:
        shelf.past.append(event)
        self._keep(event)
        self._trim(shelf)
        for listener in tuple(shelf.listeners):
            listener(event)

    def _trim(self, shelf: _Shelf) -> None:
        while len(shelf.past) > self._history:
            oldest = shelf.past.popleft()
            shelf.known_from = oldest.version
            self._forget(oldest)

    def _keep(self, event: Event) -> None:
        """Called with each change; in memory there is nothing more to do."""

    def _forget(self, event: Event) -> None:
        """Called with each change that leaves the history."""


def with_version(item: Json, version: int) -> Json:
    """Return an object with another resourceVersion; the given one stays as it is."""
    return {**item, "metadata": {**item["metadata"], "resourceVersion": str(version)}}


def _slice(keys: list[str], objects: dict[str, Json], after: str, prefix: str) -> Iterator[tuple[str, Json]]:
    index = bisect.bisect_right(keys, after) if after >= prefix else bisect.bisect_left(keys, prefix)
    while index < len(keys) and keys[index].startswith(prefix):
        yield keys[index], objects[keys[index]]
        index += 1
