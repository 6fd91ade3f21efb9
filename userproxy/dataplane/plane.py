"""The data plane as the reconcile loop sees it: one object to open, serve, close and count.

Owns the order in which listeners and endpoints change, so that no connection is accepted that nobody can serve. This one
runs in the calling process (`--workers 0`).
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Callable, Iterator, Sequence
from typing import TypeAlias

import msgspec

from userproxy.core.affinity import MAX_CLIENTS, AffinityRecords
from userproxy.core.counters import PortCounters
from userproxy.core.flows import Flow
from userproxy.core.inspection import Inspection
from userproxy.core.plan import Serving
from userproxy.core.policy import Verdict
from userproxy.dataplane.acceptor import Acceptor
from userproxy.dataplane.inspection import inspect
from userproxy.dataplane.limits import descriptor_limit, make_room, with_flow_limit
from userproxy.dataplane.listeners import Listeners, Opened
from userproxy.dataplane.reactor import Reactor
from userproxy.dataplane.sockets import SocketSettings
from userproxy.dataplane.udp_sockets import UdpSettings
from userproxy.model import ListenerSpec, PortKey

FOLLOW_SECONDS = 0.25
"""Between two deliveries of records, as workers report."""

Deliver: TypeAlias = Callable[[Sequence[Flow], int], None]
"""Takes records of connections, the oldest first, and how many were lost because they came too fast."""


class PlaneSettings(msgspec.Struct, frozen=True):
    """The settings of the data plane; times in seconds."""

    sockets: SocketSettings = SocketSettings()
    half_close_timeout: float = 300.0
    """how long a half-closed connection may go on without moving a byte"""
    max_connections: int = 0
    """connections open at once; 0: what the descriptor limit allows"""
    flow_records: int = 0
    """records of ended connections that each worker keeps; 0: none"""
    affinity_clients: int = MAX_CLIENTS
    """clients remembered for session affinity, over all Service ports, in each process"""
    udp: UdpSettings = UdpSettings()
    transparent: bool = False
    """whether endpoints may see the client's own address (capture steers the answers here)"""


class LocalPlane:
    """Listeners and one acceptor in this process. One writer: the reconcile loop."""

    def __init__(self, settings: PlaneSettings) -> None:
        limit = descriptor_limit(settings.max_connections)
        self._reactor = Reactor()
        self._listeners = Listeners()
        self.affinity = AffinityRecords(settings.affinity_clients)
        """clients and the endpoints they were given"""
        self._acceptor = Acceptor(
            self._reactor,
            settings.sockets,
            settings.half_close_timeout,
            limit,
            settings.flow_records,
            self.affinity,
            with_flow_limit(settings.udp, limit, 1),
            settings.transparent,
        )
        self._deliver: Deliver | None = None

    async def start(self) -> None:
        """Accept and relay within the running loop from now on."""
        make_room()
        self._reactor.attach(asyncio.get_running_loop())

    async def run(self) -> None:
        """Deliver records of connections to whoever follows, until cancelled."""
        while True:
            await asyncio.sleep(FOLLOW_SECONDS)
            if self._deliver is not None:
                self._deliver(*self._acceptor.flows.take())

    async def open(self, specs: Sequence[ListenerSpec], servings: Sequence[Serving]) -> Opened:
        """Take over endpoints and verdicts, and open listeners; those that fail are reported, not raised."""
        for serving in servings:
            for spec in self._listeners.refused(serving):
                self._acceptor.unlisten(spec)
        self._listeners.silence(servings)
        self._acceptor.serve(servings)
        self._listeners.admit(servings)
        opened = self._listeners.open_all(specs)
        for spec in opened.failures:
            self._acceptor.unlisten(spec)
            self._listeners.close(spec)
        for key in {spec.key for spec in opened.addresses} | {serving.key for serving in servings}:
            self._listen(key)
        return opened

    async def close(self, specs: Sequence[ListenerSpec], keys: Sequence[PortKey]) -> None:
        """Close listeners and forget Service ports; connections already open go on."""
        for spec in specs:
            self._acceptor.unlisten(spec)
            self._listeners.close(spec)
        self._listeners.settle()
        self._listeners.forget(keys)
        self._acceptor.forget(keys)

    def counters(self) -> Iterator[tuple[PortKey, PortCounters]]:
        """Yield the counters of every Service port; they are live and must not be changed."""
        for key, port in self._acceptor.ports.items():
            yield key, port.counters

    def busy_counters(self) -> Iterator[tuple[PortKey, PortCounters]]:
        """Yield the counters of Service ports that had a connection; they are live and must not be changed."""
        for key, port in tuple(self._acceptor.ports.items()):
            if port.counters.accepted:
                yield key, port.counters

    @property
    def connections(self) -> int:
        """How many connections are open."""
        return len(self._acceptor.connections)

    @property
    def workers(self) -> tuple[int, int]:
        """Processes of its own, and how many of them were replaced: none."""
        return 0, 0

    @property
    def paused(self) -> int:
        """How often accepting had to rest because descriptors or connections ran out."""
        return self._acceptor.paused

    async def inspect(self, key: PortKey | None, limit: int) -> tuple[Inspection, ...]:
        """Return a look inside: connections, and the turns of Service port `key`."""
        return (inspect(self._acceptor, 0, key, limit),)

    async def follow(self, deliver: Deliver | None) -> None:
        """Hand the records of connections that are kept to `deliver`, and those to come until None is given."""
        records, lost = self._acceptor.flows.take()
        before = deliver or self._deliver
        if before is not None and (records or lost):
            # What was overwritten while nobody followed is not lost: nobody could have had it.
            before(records, lost if self._deliver is not None else 0)
        self._deliver = deliver
        self._acceptor.flows.following = deliver is not None

    async def drain(self, seconds: float) -> int:
        """Accept nothing new and wait up to `seconds` for open connections; returns how many were cut off.

        Datagrams are passed on until `stop`: there is nothing to wait for, and a question can be answered to the end.
        """
        for spec in tuple(self._acceptor.listeners):
            if not spec.is_udp:
                self._acceptor.unlisten(spec)
        # New clients are refused at once instead of waiting in a queue that nobody will look at.
        self._listeners.close_streams()
        idle = asyncio.Event()
        self._acceptor.when_idle(idle.set)
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                await idle.wait()
        cut = self.connections
        self._acceptor.reset_all()
        return cut

    def stop(self) -> None:
        """Close every socket."""
        self._acceptor.reset_all()
        for spec in tuple(self._acceptor.listeners):
            self._acceptor.unlisten(spec)
        self._listeners.close_all()
        self._reactor.close()

    def _listen(self, key: PortKey) -> None:
        for spec in self._listeners.of(key):
            refused = self._listeners.route(spec).verdict is Verdict.REJECT
            if spec not in self._acceptor.listeners and not refused:
                self._acceptor.listen(spec, self._listeners.socket_of(spec))
