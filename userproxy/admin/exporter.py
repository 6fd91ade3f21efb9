"""How the value of every metric is read from the counters.

Owns the collector; names, types, labels and help are in `admin.metric_table`. Nothing is counted here: hot counters are plain
slots elsewhere, read when a scraper asks.
"""

from __future__ import annotations

import platform
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from itertools import accumulate
from typing import TypeAlias, TypeVar

from prometheus_client import Metric, ProcessCollector
from prometheus_client.core import (
    CounterMetricFamily,
    GaugeMetricFamily,
    HistogramMetricFamily,
    InfoMetricFamily,
)
from prometheus_client.registry import Collector

import userproxy
from userproxy.admin.metric_table import METRICS
from userproxy.admin.sources import Sources
from userproxy.admin.wallclock import WallClock
from userproxy.core.counters import DIAL_BUCKETS, Loss, PortCounters
from userproxy.core.status import FAMILY_NAMES
from userproxy.core.sync_counters import SYNC_BUCKETS
from userproxy.model import PortKey

T = TypeVar("T")

_SYNC = "kubeproxy_sync_proxy_rules"

_SPECS = {spec.name: spec for spec in METRICS}

_SAMPLES_PER_PIECE = 128
"""About a millisecond of prometheus_client's exposition (7 µs a sample)."""

_Reading: TypeAlias = tuple[str, Callable[[PortCounters], Sequence[tuple[str | None, float]]]]
_COMMON_COUNTERS: tuple[_Reading, ...] = (
    ("userproxy_bytes_total", lambda one: [("received", one.bytes_received), ("sent", one.bytes_sent)]),
    ("userproxy_ejections_total", lambda one: [(None, one.ejections)]),
    ("userproxy_endpoints_ejected", lambda one: [(None, one.ejected)]),
)
"""Metrics of Service ports that had a connection or a flow."""

_BUSY_COUNTERS: tuple[_Reading, ...] = (
    ("userproxy_connections_active", lambda one: [(None, one.active)]),
    ("userproxy_connections_carried_total", lambda one: [(None, one.carried)]),
    ("userproxy_connections_failed_total", lambda one: [(None, one.failed)]),
    ("userproxy_direct_refused_total", lambda one: [(None, one.direct_refused)]),
    ("userproxy_accept_paused_total", lambda one: [(None, one.paused)]),
    (
        "userproxy_dials_failed_total",
        lambda one: [
            ("refused", one.dial_refused),
            ("unreachable", one.dial_unreachable),
            ("timeout", one.dial_timeout),
            ("other", one.dial_other),
        ],
    ),
    ("userproxy_dial_retries_total", lambda one: [(None, one.retries)]),
)
"""Metrics of Service ports that had a connection, each with the value of its further label, if it has one."""

_FLOW_COUNTERS: tuple[_Reading, ...] = (
    ("userproxy_udp_flows_active", lambda one: [(None, one.active)]),
    ("userproxy_udp_flows_answered_total", lambda one: [(None, one.carried)]),
    ("userproxy_udp_flows_moved_total", lambda one: [(None, one.retries)]),
    ("userproxy_udp_flows_evicted_total", lambda one: [(None, one.flows_evicted)]),
    (
        "userproxy_udp_datagrams_total",
        lambda one: [("received", one.datagrams_received), ("sent", one.datagrams_sent)],
    ),
    (
        "userproxy_udp_datagrams_lost_total",
        lambda one: [(loss.name.lower(), one.datagrams_lost[loss]) for loss in Loss],
    ),
)
"""The same for UDP."""


class Exporter(Collector):
    """Reads `sources` when collected. A family may come in several metrics of the same name in a row, each small.

    `Exposition` writes them as one family; between two of them the event loop can turn.
    """

    def __init__(self, sources: Sources, clock: WallClock) -> None:
        self._sources = sources
        self._clock = clock

    def collect(self) -> Iterator[Metric]:
        """Yield every metric of `METRICS` that has a value."""
        yield from self._ports()
        yield from self._no_endpoints()
        yield from self._watches()
        workers = self._sources.workers()
        yield _metric("userproxy_workers", [((), workers.running)])
        yield _metric("userproxy_workers_replaced_total", [((), workers.replaced)])
        yield _metric("userproxy_affinity_clients", [((), workers.affinity_clients)])
        observers = self._sources.observers
        yield _metric("userproxy_events_total", [((), observers.log.added)])
        yield _metric("userproxy_events_lost_total", [((), observers.log.lost)])
        yield _metric("userproxy_event_readers", [((), observers.readers)])
        yield from self._capture_and_build()
        yield from self._syncs()
        for name, answers in (
            ("healthz", self._sources.answers.healthz),
            ("livez", self._sources.answers.livez),
        ):
            yield _metric(f"kubeproxy_proxy_{name}_total", [((str(code),), n) for code, n in answers.items()])

    def _ports(self) -> Iterator[Metric]:
        every = list(self._sources.counters())
        ports = [(key, one) for key, one in every if key.name.protocol != "UDP"]
        for piece in _slices(ports, _SAMPLES_PER_PIECE):
            samples = [(_port_labels(key), one.accepted) for key, one in piece]
            yield _metric("userproxy_connections_accepted_total", samples)
        # Of 10,000 Services a node talks to a few; 29 more series for each of the others would help nobody.
        busy = [(key, one) for key, one in ports if one.accepted or one.direct_refused or one.active]
        flows = [(key, one) for key, one in every if key.name.protocol == "UDP"]
        busy_flows = [(key, one) for key, one in flows if one.datagrams_received]
        yield from _readings(busy, _BUSY_COUNTERS)
        yield from _readings([*busy, *busy_flows], _COMMON_COUNTERS)
        for piece in _slices(flows, _SAMPLES_PER_PIECE):
            yield _metric(
                "userproxy_udp_flows_total", [(_port_labels(key), one.accepted) for key, one in piece]
            )
        yield from _readings(busy_flows, _FLOW_COUNTERS)
        for piece in _slices(busy, _SAMPLES_PER_PIECE // (len(DIAL_BUCKETS) + 3)):
            histogram = _histogram("userproxy_dial_seconds")
            for key, one in piece:
                buckets = _cumulative(DIAL_BUCKETS, one.dial_buckets)
                histogram.add_metric(_port_labels(key), buckets, one.dial_seconds)
            yield histogram

    def _no_endpoints(self) -> Iterator[Metric]:
        closed = list(self._sources.no_endpoints())
        for piece in _slices(closed, _SAMPLES_PER_PIECE):
            samples = [((*_port_labels(key), action.value), listeners) for key, action, listeners in piece]
            yield _metric("userproxy_no_endpoints_listeners", samples)

    def _watches(self) -> Iterator[Metric]:
        now = time.monotonic()
        watches = self._sources.watches()
        restarts = [((w.resource, reason), count) for w in watches for reason, count in w.restarts]
        ages = [((w.resource,), max(0.0, now - w.last_event)) for w in watches if w.last_event is not None]
        yield _metric("userproxy_watch_connected", [((w.resource,), w.connected) for w in watches])
        yield _metric("userproxy_watch_last_event_age_seconds", ages)
        yield _metric("userproxy_watch_objects", [((w.resource,), w.objects) for w in watches])
        yield _metric("userproxy_watch_restarts_total", restarts)
        yield _metric("userproxy_watch_relists_total", [((w.resource,), w.relists) for w in watches])
        yield _metric(
            "userproxy_watch_decode_errors_total", [((w.resource,), w.decode_errors) for w in watches]
        )

    def _capture_and_build(self) -> Iterator[Metric]:
        capture = self._sources.capture()
        yield _info("userproxy_capture_info", (capture.name, capture.detail))
        yield _metric("userproxy_capture_repairs_total", [((), capture.repairs)])
        yield _info("userproxy_build_info", (userproxy.__version__, platform.python_version()))

    def _syncs(self) -> Iterator[Metric]:
        sync = self._sources.sync()
        verdict = self._sources.health(time.monotonic())
        durations = _histogram(f"{_SYNC}_duration_seconds")
        durations.add_metric((), _cumulative(SYNC_BUCKETS, sync.buckets), sync.seconds)
        yield durations
        for name, value in (
            ("last_timestamp_seconds", self._unix(verdict.last_applied)),
            ("last_queued_timestamp_seconds", self._unix(verdict.last_queued)),
            ("service_changes_total", sync.service_changes),
            ("service_changes_pending", sync.service_changes_pending),
            ("endpoint_changes_total", sync.endpoint_changes),
            ("endpoint_changes_pending", sync.endpoint_changes_pending),
        ):
            yield _metric(f"{_SYNC}_{name}", [((), value)])

    def _unix(self, moment: float | None) -> float:
        return 0.0 if moment is None else self._clock.unix(moment)


def read_process() -> tuple[Metric, ...]:
    """Return the `process_*` metrics. Blocks: it counts descriptors one by one, 3 µs each."""
    return tuple(ProcessCollector(registry=None).collect())


def _port_labels(key: PortKey) -> tuple[str, ...]:
    name = key.name
    return (name.namespace, name.name, name.port, name.protocol, FAMILY_NAMES[key.family])


def _metric(name: str, samples: Iterable[tuple[Sequence[str], float]]) -> Metric:
    spec = _SPECS[name]
    family = CounterMetricFamily if spec.type == "counter" else GaugeMetricFamily
    metric = family(name, spec.help, labels=spec.labels)
    for labels, value in samples:
        metric.add_metric(labels, value)
    return metric


def _readings(
    ports: Sequence[tuple[PortKey, PortCounters]], readings: Iterable[_Reading]
) -> Iterator[Metric]:
    for name, read in readings:
        for piece in _slices(ports, _SAMPLES_PER_PIECE // 4):
            yield _metric(
                name,
                [
                    (labels if extra is None else (*labels, extra), value)
                    for labels, one in ((_port_labels(key), one) for key, one in piece)
                    for extra, value in read(one)
                ],
            )


def _info(name: str, values: Sequence[str]) -> Metric:
    spec = _SPECS[name]
    metric = InfoMetricFamily(name.removesuffix("_info"), spec.help)
    metric.add_metric((), dict(zip(spec.labels, values, strict=True)))
    return metric


def _histogram(name: str) -> HistogramMetricFamily:
    spec = _SPECS[name]
    return HistogramMetricFamily(name, spec.help, labels=spec.labels)


def _cumulative(bounds: Sequence[float], counts: Sequence[int]) -> list[tuple[str, float]]:
    names = [*map(str, bounds), "+Inf"]
    return list(zip(names, accumulate(counts), strict=True))


def _slices(items: Sequence[T], size: int) -> Iterator[Sequence[T]]:
    for start in range(0, len(items), size):
        yield items[start : start + size]
