"""Keeps a store equal to what the API server holds of one resource, whatever server and network do.

Owns list and watch by the contract of client-go's reflector (k8s.io/client-go 1.36, tools/cache/reflector.go): streaming list,
else paged list; then watches from the version reached; after a failure a pause and, where events may have been lost, a new list
whose difference to the store is delivered. Meaning of objects is `kube.decode`'s, HTTP is `kube.client`'s.
"""

from __future__ import annotations

import asyncio
import functools
import logging
import time
from collections import Counter
from collections.abc import Callable
from random import random
from typing import Any

import msgspec

from userproxy.api_objects import Changes, WatchState
from userproxy.errors import DecodeError
from userproxy.kube.backoff import Backoff
from userproxy.kube.client import ApiClient
from userproxy.kube.decode import STORED, Decoding
from userproxy.kube.failures import RateLimitedLog, RequestFailed, from_error_event
from userproxy.kube.line_stream import LineStream
from userproxy.kube.lister import fetch_list
from userproxy.kube.query import ANY_VERSION, selectors, streaming_list_query, watch_query
from userproxy.kube.reading import ObjectReader
from userproxy.kube.store import Listing, Store
from userproxy.kube.timing import WatchTiming
from userproxy.kube.wire import WatchEvent, parse_bookmark, parse_event, parse_status

STREAMING_LIST_REFUSED = frozenset({400, 405, 406, 415, 422, 501})
VERSION_NOT_AVAILABLE = frozenset({410, 504})
"""A list not older than our version failed: it is too old, or too new (504; a server set back may never have it)."""

log = logging.getLogger(__name__)


class Resource(msgspec.Struct, frozen=True):
    """What to watch: name and path at the server, how its objects are decoded, and what the server shall filter.

    A server may ignore the selectors; `decoding` checks again.
    """

    name: str
    path: str
    decoding: Decoding[Any]
    label_selector: str = ""
    field_selector: str = ""


class Reflector:
    """One resource. Writes its store; `deliver` is called with each batch of changes, and must not block or fail."""

    def __init__(
        self,
        resource: Resource,
        client: ApiClient,
        deliver: Callable[[Changes], None],
        timing: WatchTiming,
        clock: Callable[[], float] = time.monotonic,
        rng: Callable[[], float] = random,
    ) -> None:
        """`clock` is monotonic seconds, `rng` gives numbers in [0, 1) for jitter."""
        self.name = resource.name
        self._resource = resource
        self._client = client
        self._deliver = deliver
        self._timing = timing
        self._clock = clock
        self._rng = rng
        self._backoff = Backoff(timing.first_delay, timing.longest_delay, timing.healthy_after, clock, rng)
        self._messages = RateLimitedLog(log, clock, resource=resource.name)
        self._reader = ObjectReader(
            resource.decoding, functools.partial(log.warning, extra={"resource": resource.name})
        )
        self._store = Store(resource.name)
        self._field_selector = resource.field_selector
        self._streaming_list = True
        self._plain_list_next = False
        self._listed = False
        self._version = ""
        """What a watch can go on from; empty means that a list is needed."""
        self._list_version = ANY_VERSION
        self._connected = False
        self._last_event: float | None = None
        self._last_error = ""
        self._restarts: Counter[str] = Counter()
        self._relists = 0

    def state(self) -> WatchState:
        """Return how the watch is doing; `last_error` is empty again once the server has sent something."""
        return WatchState(
            self.name,
            self._listed,
            self._connected,
            self._last_event,
            len(self._store),
            tuple(sorted(self._restarts.items())),
            self._relists,
            self._reader.errors,
            self._last_error,
        )

    async def run(self) -> None:
        """Watch until cancelled. Failures of server and network are logged, counted and retried, never raised."""
        while True:
            try:
                await self._step()
            except RequestFailed as failure:
                await asyncio.sleep(self._pause_after(failure))

    async def _step(self) -> None:
        """List if needed, then watch until the stream ends."""
        if self._version:
            await self._watch(watch_query(self._version, self._server_timeout()), None)
        elif self._streaming_list and not self._plain_list_next:
            await self._list_by_stream()
        else:
            await self._list()

    async def _list_by_stream(self) -> None:
        try:
            await self._watch(streaming_list_query(self._server_timeout()), Listing())
        except RequestFailed as failure:
            refused = failure.status in STREAMING_LIST_REFUSED or failure.reason == "no_initial_end"
            if failure.status == 400 and self._drop_field_selector():
                return
            if not refused:
                raise
            self._streaming_list = False
            log.info("%s: no streaming list here (%s); plain lists are used", self.name, failure)

    async def _list(self) -> None:
        resource, version = self._resource, self._list_version
        try:
            found = await fetch_list(
                self._client, resource.path, self._selectors(), self.name, version, self._reader
            )
        except RequestFailed as failure:
            if failure.status in VERSION_NOT_AVAILABLE and self._list_version:
                self._list_version = ""
                return
            if failure.status == 400 and self._drop_field_selector():
                return
            self._plain_list_next = False
            raise
        self._take_list(*found)

    def _take_list(self, version: str, listing: Listing) -> None:
        self._plain_list_next = False
        self._relists += self._listed
        self._listed = True
        self._version = self._list_version = version
        self._store.replace(listing)
        self._deliver_changes(listed=True)
        self._recovered()

    async def _watch(self, query: dict[str, str], listing: Listing | None) -> None:
        """Follow one stream to its end; with a `listing`, the stream begins with a list into it."""
        path, query = self._resource.path, query | self._selectors()
        began = self._clock()
        async with self._client.stream(path, query, f"watch {self.name}") as stream:
            self._connected = True
            self._backoff.succeeded()
            try:
                await self._follow(LineStream(stream), listing)
            except RequestFailed:
                # A streaming list broke off (a line too long, an ERROR event, ...): a plain list may fare better.
                self._plain_list_next = not self._version
                raise
            finally:
                self._connected = False
        if self._clock() - began < self._timing.short_watch:
            raise RequestFailed(f"the API server {stream.server} ended the watch at once", "ended_at_once")
        self._restarts["ended"] += 1

    async def _follow(self, stream: LineStream, listing: Listing | None) -> None:
        began = self._clock()
        while True:
            try:
                lines = await stream.read(self._silence_allowed(listing, began))
            except RequestFailed as failure:
                if failure.reason == "stalled" and listing is not None:
                    raise _no_initial_end(stream) from failure
                raise
            if lines is None:
                break
            for line in lines:
                listing = self._apply(line, listing, stream)
            if lines:
                self._last_event = self._clock()
            if listing is None:
                self._deliver_changes()
                self._recovered()
        if listing is not None:
            raise RequestFailed(f"the API server {stream.server} ended a list in the middle", "cut")

    def _apply(self, line: bytes, listing: Listing | None, stream: LineStream) -> Listing | None:
        """Take one line into the store, or into the list still arriving; return what is still arriving after it."""
        version = self._reader.read_event(line, self._store if listing is None else listing)
        if version is None:
            return self._apply_other(line, listing, stream)
        if listing is None:
            self._version = version or self._version
        return listing

    def _apply_other(self, line: bytes, listing: Listing | None, stream: LineStream) -> Listing | None:
        """Take a line that is no ordinary event of an object, or one that cannot be read."""
        try:
            event = parse_event(line)
            if event.type == "BOOKMARK":
                return self._apply_bookmark(event, listing, stream)
        except DecodeError as error:
            # What the line should have said is unknown, so the store may be wrong from here on.
            self._reader.errors += 1
            text = f"the API server {stream.server} sent a line that is no event: {error}"
            raise RequestFailed(text, "bad_line", relist=True) from error
        if event.type == "ERROR":
            raise from_error_event(parse_status(event.object), stream.server)
        self._apply_object(event, listing)
        return listing

    def _apply_bookmark(
        self, event: WatchEvent, listing: Listing | None, stream: LineStream
    ) -> Listing | None:
        bookmark = parse_bookmark(event.object)
        if listing is None:
            self._version = bookmark.version or self._version
        elif bookmark.initial_end and bookmark.version:
            self._take_list(bookmark.version, listing)
        else:
            raise _no_initial_end(stream)
        return None

    def _apply_object(self, event: WatchEvent, listing: Listing | None) -> None:
        """Take an ADDED, MODIFIED or DELETED object; others are of a future server and say nothing to us."""
        target = self._store if listing is None else listing
        if event.type == "DELETED":
            version = self._reader.remove(event.object, target)
        elif event.type in STORED:
            version = self._reader.read(event.object, target)
        else:
            text = f"{self.name}: event type {event.type[:40]!r} is not known and ignored"
            self._messages.say(logging.WARNING, "event type", text)
            return
        if listing is None and version:
            # Only now: the objects of an initial burst come in no order of their versions.
            self._version = version

    def _silence_allowed(self, listing: Listing | None, began: float) -> float:
        if listing is None:
            return self._timing.read
        left = began + self._timing.initial_total - self._clock()
        return max(0.0, min(self._timing.initial_silence, left))

    def _deliver_changes(self, *, listed: bool = False) -> None:
        changes = self._store.take_changes(listed=listed)
        if changes.changed or changes.removed or listed:
            self._deliver(changes)

    def _pause_after(self, failure: RequestFailed) -> float:
        """Note a failure; return the seconds to wait before the next try."""
        self._restarts[failure.reason] += 1
        if failure.relist:
            self._version = ""
        self._last_error = str(failure)
        use = "the last known state stays in use" if self._listed else "nothing is known yet"
        text = f"watch of {self.name}: {failure}; trying again, {use}"
        self._messages.say(logging.WARNING, failure.reason, text)
        return max(self._backoff.next_delay(), failure.retry_after)

    def _recovered(self) -> None:
        if self._last_error:
            self._last_error = ""
            self._messages.say(logging.INFO, "recovered", f"watch of {self.name} works again")

    def _drop_field_selector(self) -> bool:
        """Do without the field selector, which older servers refuse; `decode` filters too. False when there was none."""
        dropped, self._field_selector = self._field_selector, ""
        return bool(dropped)

    def _selectors(self) -> dict[str, str]:
        return selectors(self._resource.label_selector, self._field_selector)

    def _server_timeout(self) -> int:
        shortest, longest = self._timing.server_shortest, self._timing.server_longest
        return max(1, int(shortest + (longest - shortest) * self._rng()))


def _no_initial_end(stream: LineStream) -> RequestFailed:
    text = f"the API server {stream.server} did not mark the end of the initial events"
    return RequestFailed(text, "no_initial_end")
