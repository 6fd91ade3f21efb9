"""The counters of a pool's workers, added up, with those of workers that are gone.

Owns the sums only. What is counted is `core.counters`', how it gets here `dataplane.worker_link`'s.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping

from userproxy.core.counters import PortCounters
from userproxy.dataplane.worker_link import WorkerLink
from userproxy.model import PortKey


class WorkerCounters:
    """Sums over `links`, the workers that run, for the Service ports in `served`."""

    def __init__(self, links: Mapping[int, WorkerLink], served: Collection[PortKey]) -> None:
        self._links = links
        self._served = served
        self._ended: dict[PortKey, PortCounters] = {}
        self._paused_before = 0

    def all(self) -> Iterator[tuple[PortKey, PortCounters]]:
        """Yield the counters of every Service port."""
        for key in tuple(self._served):
            yield key, self._sum(key)

    def busy(self) -> Iterator[tuple[PortKey, PortCounters]]:
        """Yield the counters of Service ports that had a connection."""
        keys = dict.fromkeys(key for link in self._links.values() for key in link.counters)
        for key in dict.fromkeys((*keys, *self._ended)):
            total = self._sum(key)
            if key in self._served and total.accepted:
                yield key, total

    @property
    def paused(self) -> int:
        """How often accepting had to rest because descriptors or connections ran out."""
        return self._paused_before + sum(link.paused for link in self._links.values())

    def keep(self, link: WorkerLink) -> None:
        """Keep what a worker that is gone had counted; its connections are gone with it."""
        for key, counters in link.counters.items():
            if key in self._served:
                counters.active = 0
                self._ended.setdefault(key, PortCounters()).add(counters)
        self._paused_before += link.paused

    def forget(self, key: PortKey) -> None:
        """Drop a Service port that is gone."""
        self._ended.pop(key, None)
        for link in self._links.values():
            link.counters.pop(key, None)

    def _sum(self, key: PortKey) -> PortCounters:
        total = PortCounters()
        if key in self._ended:
            total.add(self._ended[key])
        for link in self._links.values():
            if key in link.counters:
                total.add(link.counters[key])
        return total
