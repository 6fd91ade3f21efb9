"""Where the admin servers get what they show: plain callables that `app` fills in.

Owns the seam between the admin edge and the rest: admin asks, nothing is pushed, and no callable here changes anything.
All are called on the event loop and must return at once. Iterables are read piece by piece over several turns of the loop, so
what they iterate over must not be a live dictionary.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field

from userproxy.admin.observers import Observers
from userproxy.api_objects import WatchState
from userproxy.core.counters import PortCounters
from userproxy.core.explain import World
from userproxy.core.health import HealthVerdict
from userproxy.core.inspection import Inspection
from userproxy.core.status import CaptureView, ServiceView, WorkersView
from userproxy.core.sync_counters import SyncCounters
from userproxy.model import NoEndpoints, PortKey, ServiceName


@dataclass(frozen=True)
class HealthAnswers:
    """How often each probe was answered with each status code; the health server counts, the exporter reads."""

    healthz: dict[int, int] = field(default_factory=lambda: {200: 0, 503: 0})
    livez: dict[int, int] = field(default_factory=lambda: {200: 0, 503: 0})


@dataclass(frozen=True)
class Sources:
    """Everything the admin servers may know. Times are seconds of the monotonic clock."""

    started: float
    """when this process began to serve"""
    health: Callable[[float], HealthVerdict]
    """the verdict at the given time (`SyncHealth.verdict`)"""
    readiness: Callable[[], tuple[str, ...]]
    """why we are not ready, empty when we are (`ReadinessLatch.reasons`)"""
    counters: Callable[[], Iterable[tuple[PortKey, PortCounters]]]
    """every Service port on every family with its counters"""
    no_endpoints: Callable[[], Iterable[tuple[PortKey, NoEndpoints, int]]]
    """Service ports without a usable endpoint: what their clients meet, and on how many listeners"""
    watches: Callable[[], tuple[WatchState, ...]]
    """one for each resource that is watched"""
    sync: Callable[[], SyncCounters]
    """counters of the reconcile loop"""
    capture: Callable[[], CaptureView]
    """the capture in use, and why not the others"""
    workers: Callable[[], WorkersView]
    """the worker processes"""
    services: Callable[[], Iterable[ServiceView]]
    """every Service as `core.status.service_views` makes it"""
    warnings: Callable[[], tuple[str, ...]]
    """what a person should know and no Service is to blame for, one line each"""
    busy: Callable[[], Iterable[tuple[PortKey, PortCounters]]]
    """Service ports that had a connection, with their counters; read piece by piece"""
    find: Callable[[str], list[ServiceName]]
    """Services by name whose name or address holds a text (`core.service_search`)"""
    views: Callable[[Iterable[ServiceName], Mapping[PortKey, PortCounters]], Iterable[ServiceView]]
    """some Services as `core.status.service_views` makes them, with these counters"""
    observers: Observers
    """the events, and whoever follows them"""
    world: Callable[[], World]
    """all that explanations are made from"""
    inspect: Callable[[PortKey | None, int], Awaitable[Sequence[Inspection]]]
    """a look into each worker (`WorkerPool.inspect`); the only one here that has to wait"""
    answers: HealthAnswers = field(default_factory=HealthAnswers)
