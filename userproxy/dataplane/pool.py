"""Several workers behind the same face as `dataplane.plane.LocalPlane`.

Owns what workers are told: listeners, endpoints, affinity records. The listening sockets stay here, so a worker that dies takes
only its own connections with it. Which workers run is `dataplane.workers`' business.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Collection, Iterator, Sequence

from userproxy.core.affinity import AffinityRecords
from userproxy.core.counters import PortCounters
from userproxy.core.flows import Flow
from userproxy.core.inspection import Inspection
from userproxy.core.plan import Serving
from userproxy.core.policy import Verdict
from userproxy.dataplane.limits import make_room
from userproxy.dataplane.listeners import Listeners, Opened
from userproxy.dataplane.plane import Deliver, PlaneSettings
from userproxy.dataplane.wire import (
    AffinityNews,
    Follow,
    Forget,
    Setup,
    encode,
    serve,
)
from userproxy.dataplane.worker_counters import WorkerCounters
from userproxy.dataplane.worker_link import WorkerLink
from userproxy.dataplane.workers import Workers
from userproxy.model import ListenerSpec, PortKey

DRAIN_LOOK = 0.1
CONFIRM_SECONDS = 2.0
"""How long a change waits for a worker; a worker that hangs must not hold up the others."""
SERVE_BATCH = 500
AFFINITY_BATCH = 2000
"""Records in one message to a new worker: about 100 KiB."""


class WorkerPool:
    """Listeners here, connections in worker processes. One writer: the reconcile loop."""

    def __init__(self, settings: PlaneSettings, workers: int) -> None:
        self._settings = settings
        self._count = workers
        self._listeners = Listeners(workers)
        self._servings: dict[PortKey, Serving] = {}
        self._accepting: set[ListenerSpec] = set()
        self.affinity = AffinityRecords(settings.affinity_clients)
        """what workers told, for those that will replace them"""
        self._unconfirmed = False
        """whether workers were told of new Service ports since they confirmed what they were told"""
        self._deliver: Deliver | None = None
        self._workers = Workers(workers, self._launch, self._lost)
        self.links = self._workers.links
        self._counters = WorkerCounters(self.links, self._servings)

    async def start(self) -> None:
        """Start the workers, whose own start goes on meanwhile: `close` is the first to wait for it."""
        make_room()
        self._workers.start()

    async def run(self) -> None:
        """Look after the workers until cancelled: one that hangs is killed, and a dead one is replaced at once."""
        await self._workers.look_after()

    async def open(self, specs: Sequence[ListenerSpec], servings: Sequence[Serving]) -> Opened:
        """Take over endpoints and verdicts, and open listeners; those that fail are reported, not raised."""
        refused = [
            spec
            for serving in servings
            for spec in self._listeners.refused(serving)
            if spec in self._accepting
        ]
        if refused:
            # A worker would spin on a socket that stopped listening, so it lets go of it first.
            self._unlisten(refused)
            await self._confirmed()
        self._listeners.silence(servings)
        fresh = {serving.key for serving in servings}.difference(self._servings)
        self._servings.update((serving.key, serving) for serving in servings)
        self._keep_affinity(servings)
        self._tell_servings(self.links.values(), servings)
        # Nobody reaches a new Service port yet, and workers hear of its listeners after its endpoints.
        opened = self._open(
            [serving for serving in servings if serving.key in fresh],
            [spec for spec in specs if spec.key in fresh],
        )
        self._unconfirmed |= bool(fresh)
        others = [spec for spec in specs if spec.key not in fresh]
        if others or len(fresh) < len(servings):
            await self._confirmed()
            more = self._open([serving for serving in servings if serving.key not in fresh], others)
            opened.addresses.update(more.addresses)
            opened.failures.update(more.failures)
        return opened

    def _open(self, servings: Sequence[Serving], specs: Sequence[ListenerSpec]) -> Opened:
        self._listeners.admit(servings)
        opened = self._listeners.open_all(specs)
        if lost := [spec for spec in opened.failures if spec in self._accepting]:
            self._unlisten(lost)
        for spec in opened.failures:
            self._listeners.close(spec)
        self._listen({spec.key for spec in opened.addresses} | {serving.key for serving in servings})
        return opened

    async def close(self, specs: Sequence[ListenerSpec], keys: Sequence[PortKey]) -> None:
        """Close listeners and forget Service ports; connections already open go on.

        Returns when workers have done what they were told, what `open` told them included.
        """
        if specs:
            self._unlisten(specs)
        if specs or self._unconfirmed:
            await self._confirmed()
        for spec in specs:
            self._listeners.close(spec)
        self._listeners.settle()
        self._listeners.forget(keys)
        for key in keys:
            self._servings.pop(key, None)
            self.affinity.forget(key)
            self._counters.forget(key)
        if keys:
            for link in self.links.values():
                link.send(Forget(tuple(keys)))

    def counters(self) -> Iterator[tuple[PortKey, PortCounters]]:
        """Yield the counters of every Service port, added up over workers, those that are gone included."""
        return self._counters.all()

    def busy_counters(self) -> Iterator[tuple[PortKey, PortCounters]]:
        """Yield the counters of Service ports that had a connection, added up over workers as `counters` does."""
        return self._counters.busy()

    @property
    def connections(self) -> int:
        """How many connections are open, as the workers reported last."""
        return sum(link.connections for link in self.links.values())

    @property
    def workers(self) -> tuple[int, int]:
        """Workers that run, and how many were replaced."""
        return len(self.links), self._workers.replaced

    @property
    def replaced(self) -> int:
        """Workers that died or hung and were replaced."""
        return self._workers.replaced

    def tell_replaced(self, told: Callable[[str], None]) -> None:
        """Call `told` with a line for each worker that is replaced from now on."""
        self._workers.told = told

    @property
    def paused(self) -> int:
        """How often accepting had to rest because descriptors or connections ran out."""
        return self._counters.paused

    async def follow(self, deliver: Deliver | None) -> None:
        """Hand the records of connections that workers keep to `deliver`, and those to come until None is given."""
        self._deliver = deliver or self._deliver
        for link in self.links.values():
            link.send(Follow(deliver is not None))
        await self._confirmed()
        self._deliver = deliver

    async def inspect(self, key: PortKey | None, limit: int) -> tuple[Inspection, ...]:
        """Return a look into each worker that answers in time: connections, and the turns of Service port `key`."""
        asked = [link.inspection(key, limit) for link in self.links.values()]
        if not asked:
            return ()
        done, late = await asyncio.wait(asked, timeout=CONFIRM_SECONDS)
        for one in late:
            one.cancel()
        found = [one.result() for one in done]
        return tuple(sorted((one for one in found if one is not None), key=lambda one: one.worker))

    async def drain(self, seconds: float) -> int:
        """Accept nothing new and wait up to `seconds` for open connections; returns how many were cut off.

        Datagrams are passed on until `stop`.
        """
        self._unlisten([spec for spec in self._accepting if not spec.is_udp])
        self._listeners.close_streams()
        await self._confirmed()
        deadline = time.monotonic() + seconds
        while self.connections and time.monotonic() < deadline:  # noqa: ASYNC110 - workers report, nothing to await
            await asyncio.sleep(DRAIN_LOOK)
        return self.connections

    def stop(self) -> None:
        """End every worker and close every socket."""
        self._listeners.close_all()
        self._workers.stop()

    def _launch(self, index: int) -> WorkerLink:
        link = WorkerLink(
            index,
            self._listeners.socket_of,
            self._workers.closed,
            self._flows,
            self._pass_on,
            transparent=self._settings.transparent,
        )
        settings = self._settings
        link.send(
            Setup(
                index,
                self._count,
                settings.sockets,
                settings.half_close_timeout,
                settings.max_connections,
                settings.flow_records,
                settings.affinity_clients,
                settings.udp,
                settings.transparent,
            )
        )
        if self._deliver is not None:
            link.send(Follow(True))
        self._tell_servings([link], list(self._servings.values()))
        for piece in self.affinity.everything(time.monotonic(), AFFINITY_BATCH):
            link.send(AffinityNews((piece,)))
        link.listen(self._accepting)
        return link

    def _lost(self, link: WorkerLink) -> None:
        self._counters.keep(link)

    def _flows(self, records: Sequence[Flow], lost: int) -> None:
        if self._deliver is not None:
            self._deliver(records, lost)

    def _keep_affinity(self, servings: Sequence[Serving]) -> None:
        for serving in servings:
            seconds = serving.options.affinity_seconds
            if seconds:
                endpoints = (*serving.cluster, *serving.local)
                self.affinity.port(serving.key, seconds).update(endpoints)
            else:
                self.affinity.forget(serving.key)

    def _pass_on(self, sender: WorkerLink, news: AffinityNews) -> None:
        for key, told in news.ports:
            self.affinity.learn(key, told)
        for link in tuple(self.links.values()):
            if link is not sender:
                link.send(news)

    def _tell_servings(self, links: Collection[WorkerLink], servings: Sequence[Serving]) -> None:
        for start in range(0, len(servings), SERVE_BATCH):
            message = encode(serve(servings[start : start + SERVE_BATCH]))
            for link in links:
                link.send(message)

    def _listen(self, keys: set[PortKey]) -> None:
        fresh = [
            spec
            for key in keys
            for spec in self._listeners.of(key)
            if spec not in self._accepting and self._listeners.route(spec).verdict is not Verdict.REJECT
        ]
        self._accepting.update(fresh)
        for link in self.links.values():
            link.listen(fresh)

    def _unlisten(self, specs: Sequence[ListenerSpec]) -> None:
        self._accepting.difference_update(specs)
        for link in self.links.values():
            link.unlisten(specs)

    async def _confirmed(self) -> None:
        """Wait until every worker has done what it was told."""
        waiting = [link.confirmation() for link in self.links.values()]
        self._unconfirmed = False
        if waiting:
            await asyncio.wait(waiting, timeout=CONFIRM_SECONDS)
