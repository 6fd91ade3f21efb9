"""Session affinity by client address: which endpoint a client was given last, and for how long that counts.

Owns the records: their age, their bound and what other workers must be told. A record is made or changed by new connections
only; what was told by another worker is merged by the later moment, so that all workers end with the same records. Reads no
clock: moments are seconds of the monotonic clock, which all processes of a machine share.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Collection, Iterable, Iterator
from typing import TypeAlias

import msgspec

from userproxy.core.balancer import Balancer
from userproxy.model import Address, PortKey

MAX_CLIENTS = 100_000
"""Records kept in each process over all Service ports; see README for what they cost."""
REFRESH_SHARE = 60
"""A refreshed record is told to the others once in this part of its timeout, so theirs may end that much too early."""

Told: TypeAlias = tuple[str, Address, float]
"""A record on its way: client, endpoint, moment of the client's last new connection."""


class Record(msgspec.Struct, gc=False):
    """Where a client's last new connection went, and when."""

    endpoint: Address
    seen: float


class Affinity:
    """The records of one Service port, which all its frontends and both sets of endpoints share."""

    __slots__ = ("_all", "_endpoints", "clients", "key", "news", "seconds")

    def __init__(self, records: AffinityRecords, key: PortKey, seconds: float) -> None:
        self._all = records
        self._endpoints: dict[Address, Address] = {}
        self.key = key
        self.seconds = seconds
        self.clients: OrderedDict[str, Record] = OrderedDict()
        """the client seen last is at the end"""
        self.news: dict[str, Record] = {}
        """what the other workers have not been told yet"""

    def update(self, endpoints: Iterable[Address]) -> None:
        """Say which endpoints there are, so that records share their addresses instead of holding copies."""
        self._endpoints = {one: one for one in endpoints}

    def find(self, client: str, now: float) -> Address | None:
        """Return the endpoint of `client`, None when there is no record or it is too old."""
        record = self.clients.get(client)
        return None if record is None or now - record.seen >= self.seconds else record.endpoint

    def remember(self, client: str, endpoint: Address, now: float) -> None:
        """Take note of a new connection of `client` to `endpoint`."""
        record = self.clients.get(client)
        if record is None:
            record = self._add(client, endpoint, now)
        else:
            share = self.seconds / REFRESH_SHARE
            old = record.endpoint == endpoint and now // share == record.seen // share
            record.endpoint, record.seen = endpoint, now
            self.clients.move_to_end(client)
            if old:
                return
        self._all.tell(self, client, record)

    def learn(self, told: Iterable[Told]) -> None:
        """Take over records of another worker, where they are newer than ours."""
        for client, endpoint, seen in told:
            endpoint = self._endpoints.get(endpoint, endpoint)
            record = self.clients.get(client)
            if record is None:
                self._add(client, endpoint, seen)
            elif (seen, endpoint) > (record.seen, record.endpoint):
                record.endpoint, record.seen = endpoint, seen
                self.clients.move_to_end(client)
            elif endpoint != record.endpoint:
                # Two workers chose at the same time, and a refresh of ours that nobody was told of is what counts.
                self._all.tell(self, client, record)

    def evict(self, count: int) -> None:
        """Drop the `count` clients that were not seen for the longest time."""
        count = min(count, len(self.clients))
        for _ in range(count):
            self.news.pop(self.clients.popitem(last=False)[0], None)
        self._all.held -= count

    def _add(self, client: str, endpoint: Address, seen: float) -> Record:
        oldest = next(iter(self.clients.values()), None)
        if oldest is not None and seen - oldest.seen >= self.seconds:
            # One out of date goes for each that comes, so records of a busy port do not wait for the bound.
            self.evict(1)
        self._all.make_room()
        self._all.held += 1
        record = self.clients[client] = Record(endpoint, seen)
        return record


class AffinityRecords:
    """The records of every Service port in one process, bounded: the port that has most of them loses its oldest.

    `wake` is called when the first news since `take_news` arise; None: nobody is to be told, and nothing is collected.
    """

    def __init__(self, limit: int = MAX_CLIENTS, wake: Callable[[], None] | None = None) -> None:
        self._limit = limit
        self._wake = wake
        self._ports: dict[PortKey, Affinity] = {}
        self._news: dict[PortKey, Affinity] = {}
        self.held = 0
        """records of all Service ports"""

    def port(self, key: PortKey, seconds: float) -> Affinity:
        """Return the records of a Service port, begun when there are none, with a timeout of `seconds` from now on."""
        port = self._ports.get(key)
        if port is None:
            port = self._ports[key] = Affinity(self, key, seconds)
        port.seconds = seconds
        return port

    def forget(self, key: PortKey) -> None:
        """Drop the records of a Service port that is gone or wants no affinity any more."""
        port = self._ports.pop(key, None)
        if port is not None:
            self.held -= len(port.clients)
            self._news.pop(key, None)

    def learn(self, key: PortKey, told: Iterable[Told]) -> None:
        """Take over another worker's records of a Service port; without affinity here they are dropped."""
        port = self._ports.get(key)
        if port is not None:
            port.learn(told)

    def tell(self, port: Affinity, client: str, record: Record) -> None:
        """Collect a changed record for `take_news`."""
        if self._wake is None:
            return
        if not self._news:
            self._wake()
        self._news[port.key] = port
        port.news[client] = record

    def take_news(self) -> tuple[tuple[PortKey, tuple[Told, ...]], ...]:
        """Return what changed here since the last call, by Service port."""
        news, self._news = self._news, {}
        told = []
        for key, port in news.items():
            changed, port.news = port.news, {}
            told.append((key, tuple((client, one.endpoint, one.seen) for client, one in changed.items())))
        return tuple(told)

    def everything(self, now: float, size: int) -> Iterator[tuple[PortKey, tuple[Told, ...]]]:
        """Yield the records that still count, oldest first, in pieces of up to `size`: for a new worker."""
        for key, port in self._ports.items():
            told = [
                (client, one.endpoint, one.seen)
                for client, one in port.clients.items()
                if now - one.seen < port.seconds
            ]
            for start in range(0, len(told), size):
                yield key, tuple(told[start : start + size])

    def make_room(self) -> None:
        """Make sure that one more record fits; a hundredth is dropped at once, so that this is rare."""
        if self.held >= self._limit:
            largest = max(self._ports.values(), key=lambda port: len(port.clients))
            largest.evict(1 + self._limit // 100)


class Sticky:
    """A balancer that gives a client the endpoint it had, while that one is in the set; else `first` chooses.

    `first` shall answer the same in every worker (`core.balancer_hash`), for the moment before a record has got round.
    """

    __slots__ = ("_affinity", "_first", "_usable")

    def __init__(self, affinity: Affinity, first: Balancer) -> None:
        self._affinity = affinity
        self._first = first
        self._usable = frozenset(first.upcoming())

    def pick(self, client: str = "", now: float = 0.0) -> Address | None:
        """Return the endpoint of `client` and remember it; None when there is no endpoint."""
        return self.pick_other((), client, now)

    def pick_other(self, tried: Collection[Address], client: str = "", now: float = 0.0) -> Address | None:
        """Return the endpoint of `client`, another one when it is in `tried`; the client stays with that one then."""
        endpoint = self._affinity.find(client, now)
        if endpoint is None or endpoint not in self._usable or endpoint in tried:
            endpoint = self._first.pick_other(tried, client, now) if tried else self._first.pick(client, now)
        if endpoint is not None:
            self._affinity.remember(client, endpoint, now)
        return endpoint

    def update(self, endpoints: Collection[Address]) -> None:
        """Replace the endpoints; records of those that left count again if they come back in time."""
        self._first.update(endpoints)
        self._usable = frozenset(endpoints)

    def upcoming(self) -> tuple[Address, ...]:
        """Return the endpoints; which is picked next depends on the client."""
        return self._first.upcoming()
