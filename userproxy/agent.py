"""One running proxy: capture, data plane, reconcile loop, watches and admin servers, put together.

Owns the parts and the order in which they start and stop. What is started for which command, and what signals do, is
`app`'s business. Order of a stop: not ready, no new connections, drain, capture removed, admin servers last.
"""

from __future__ import annotations

import asyncio
import gc
import logging
import os
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence

from userproxy.admin.health import HEALTHZ_SETTING, HealthServer
from userproxy.admin.health_checks import HealthCheckServers
from userproxy.admin.metrics import METRICS_SETTING, MetricsServer
from userproxy.admin.observers import Observers
from userproxy.admin.sources import Sources
from userproxy.admin.systemd import ServiceState, SystemdNotifier
from userproxy.admin.wallclock import WallClock
from userproxy.api_objects import Changes
from userproxy.capture.choose import Capture
from userproxy.capture.host_addresses import follow_host_addresses
from userproxy.capture.settings import CaptureSettings
from userproxy.config import Config
from userproxy.core.addresses import (
    HEALTHZ_PORT,
    METRICS_PORT,
    AdminAddress,
    address_text,
    parse_bind_address,
)
from userproxy.core.counters import PortCounters
from userproxy.core.event_log import EventLog
from userproxy.core.explain import World
from userproxy.core.health import HealthVerdict, ReadinessLatch, StartStep, SyncHealth, node_state
from userproxy.core.plan_settings import PlanSettings
from userproxy.core.policy import Verdict
from userproxy.core.service_events import Change
from userproxy.core.service_search import find_services
from userproxy.core.status import CaptureView, ServiceView, WorkersView, service_views
from userproxy.dataplane.plane import LocalPlane, PlaneSettings
from userproxy.dataplane.pool import WorkerPool
from userproxy.dataplane.ports import local_port_range, lowest_port
from userproxy.dataplane.sockets import SocketSettings
from userproxy.dataplane.udp_sockets import UdpSettings
from userproxy.dataplane.workers import worker_count
from userproxy.kube.cluster import Cluster
from userproxy.model import Balance, Family, NoEndpoints, PortKey, PortOptions, Probe, ServiceName
from userproxy.reconcile.loop import Reconciler

log = logging.getLogger(__name__)

COLLECTOR_RESTS = 10.0
"""Seconds after a start for which the garbage collector waits for us to be ready."""

Connect = Callable[[Callable[[Changes], None]], Cluster]
"""Makes the watches, given where their changes go."""


class Agent:
    """Everything that runs on one node. `start`, then `run` until cancelled, then `stop`."""

    def __init__(
        self, config: Config, capture: Capture, probes: Sequence[Probe], connect: Connect, node: str = ""
    ) -> None:
        """`node` is the name of our Node."""
        self._config = config
        self._capture = capture
        self._probes = tuple(probes)
        self._health = SyncHealth()
        self._latch = ReadinessLatch()
        self._started = time.monotonic()
        self._health_checks = HealthCheckServers(lambda: self._health.verdict(time.monotonic()).healthy)
        self._stopping = False
        self._systemd = SystemdNotifier(os.environ, os.getpid())
        workers = worker_count(config.workers)
        settings = plane_settings(config)
        self.plane = WorkerPool(settings, workers) if workers else LocalPlane(settings)
        self._observers = Observers(EventLog(config.observe_events), self.plane.follow, WallClock())
        if isinstance(self.plane, WorkerPool):
            self.plane.tell_replaced(self._worker_replaced)
        self.reconciler = Reconciler(
            self.plane,
            capture,
            plan_settings(config, capture),
            self._health,
            time.monotonic,
            node,
            self._health_checks,
            self._warn,
            self._observers.changed,
        )
        self.cluster = connect(self.reconciler.feed)
        sources = self._sources()
        self._health_server = HealthServer(
            parse_bind_address(config.healthz_bind_address, HEALTHZ_PORT, HEALTHZ_SETTING), sources
        )
        metrics = parse_bind_address(config.metrics_bind_address, METRICS_PORT, METRICS_SETTING)
        live = config.live_page == "on" or (
            config.live_page == "auto" and metrics is not None and metrics.loopback
        )
        self._metrics_server = MetricsServer(metrics, sources, live=live)
        self._live = live

    async def start(self) -> None:
        """Start the admin servers and the data plane. Raises UserproxyError."""
        # Next to nothing of what the lists and the first plan make is garbage.
        gc.disable()
        await self.cluster.prepare()
        await self._health_server.start()
        await self._metrics_server.start()
        # Before rule programs are run and lists are read, since workers start meanwhile.
        await self.plane.start()

    async def run(self) -> None:
        """Set capture up, watch and reconcile until cancelled. Raises UserproxyError."""
        async with asyncio.TaskGroup() as group:
            group.create_task(self._follow_addresses(), name="addresses of the host")
            group.create_task(self.cluster.run(), name="watches")
            group.create_task(self._reconcile(), name="reconcile")
            group.create_task(self.plane.run(), name="data plane")
            group.create_task(self._settle(), name="settle after start")
            if self._systemd.wanted:
                group.create_task(self._keep_systemd_informed(), name="systemd")

    def configure(self, config: Config) -> None:
        """Take over a Config in which settings marked `live` have changed."""
        self._config = config
        self.reconciler.configure(plan_settings(config, self._capture))

    async def stop(self, forced: asyncio.Event) -> None:
        """Drain until the deadline or until `forced`, take capture away and stop the servers."""
        self._latch.stopping()
        self._stopping = True
        self._systemd.tell(self._service_state())
        async with asyncio.TaskGroup() as group:
            drain = group.create_task(self.plane.drain(self._config.drain_timeout), name="drain")
            hurry = group.create_task(forced.wait(), name="second signal")
            await asyncio.wait([drain, hurry], return_when=asyncio.FIRST_COMPLETED)
            drain.cancel()
            hurry.cancel()
        cut = self.plane.connections if drain.cancelled() else drain.result()
        if cut:
            log.info("%d connections were still open and are reset", cut)
        await self.release()

    async def release(self) -> None:
        """Give everything back: capture unless it shall be kept, sockets, servers. Safe after a failed start."""
        gc.enable()
        # Connections first: without its address and routes the kernel cannot send the resets of those that are cut off.
        self.plane.stop()
        try:
            if not self._config.keep_capture:
                await self._capture.teardown()
        finally:
            await self._health_checks.stop()
            await self._metrics_server.stop()
            await self._health_server.stop()

    @property
    def capture_name(self) -> str:
        """The capture in use with its detail, for people."""
        capture = self._capture
        return f"{capture.name} ({capture.detail})" if capture.detail else capture.name

    @property
    def admin(self) -> AdminAddress | None:
        """Where people may ask this agent; None where nobody may."""
        address = self._metrics_server.address
        return AdminAddress(address_text(address), page=self._live) if address else None

    def services(self) -> Iterator[ServiceView]:
        """Yield every Service as the status view shows it."""
        reconciler = self.reconciler
        counters = dict(self.plane.counters())
        return service_views(reconciler.table, reconciler.running, counters, reconciler.listening)

    def _worker_replaced(self, text: str) -> None:
        self._observers.changed(Change(time.monotonic(), "worker", text))

    def _views(
        self, names: Iterable[ServiceName], counters: Mapping[PortKey, PortCounters]
    ) -> Iterator[ServiceView]:
        reconciler = self.reconciler
        return service_views(reconciler.table, reconciler.running, counters, reconciler.listening, names)

    def _warn(self, service: ServiceName, reason: str, text: str) -> None:
        self.cluster.events.warn(service, reason, text)

    async def _reconcile(self) -> None:
        # While rule programs run, the lists arrive; what they say waits from here on.
        began = time.monotonic()
        await self._capture.setup()
        self._latch.reached(StartStep.CAPTURED)
        self._health.applied(time.monotonic(), until=began)
        await self.reconciler.run()

    async def _follow_addresses(self) -> None:
        own = (self._config.proxy_address, self._config.proxy_address_ipv6)
        await follow_host_addresses(self.reconciler.feed_addresses, without=own)

    async def _settle(self) -> None:
        """After the first plan: say so, and keep the garbage collector away from what stays for ever."""
        try:
            async with asyncio.timeout(COLLECTOR_RESTS):
                await self.reconciler.ready.wait()
        except TimeoutError:
            gc.enable()
            await self.reconciler.ready.wait()
        self._latch.reached(StartStep.LISTENING)
        gc.freeze()
        gc.enable()
        log.info("ready: capture %s, %d Service ports", self.capture_name, len(self.reconciler.running.ports))
        self._systemd.tell(self._service_state())

    async def _keep_systemd_informed(self) -> None:
        while True:
            self._systemd.tell(self._service_state())
            await asyncio.sleep(self._systemd.interval)

    def _service_state(self) -> ServiceState:
        """What systemd shows and watches; alive means what /livez means, so that a stuck proxy is restarted by either."""
        missing = self._readiness()
        alive = self._verdict(time.monotonic()).healthy
        if self._stopping:
            status = f"stopping: draining {self.plane.connections} connections"
        elif missing:
            status = "not ready: " + "; ".join(missing)
        else:
            ports = len(self.reconciler.running.ports)
            status = f"ready: capture {self.capture_name}, {ports} Service ports, {self.plane.connections} connections"
        if not alive:
            status += "; changes wait to be applied for too long"
        return ServiceState(ready=not missing, alive=alive, stopping=self._stopping, status=status)

    def _sources(self) -> Sources:
        return Sources(
            started=self._started,
            health=self._verdict,
            readiness=self._readiness,
            counters=lambda: list(self.plane.counters()),
            no_endpoints=self._no_endpoints,
            watches=self.cluster.watch_states,
            sync=lambda: self.reconciler.counters,
            capture=self._capture_view,
            workers=lambda: WorkersView(*self.plane.workers, self.plane.paused, self.plane.affinity.held),
            services=self.services,
            warnings=self._warnings,
            busy=self.plane.busy_counters,
            find=lambda text: find_services(self.reconciler.table, self.reconciler.running, text),
            views=self._views,
            observers=self._observers,
            world=self._world,
            inspect=self.plane.inspect,
        )

    def _world(self) -> World:
        reconciler = self.reconciler
        counters = dict(self.plane.counters())
        return World(
            reconciler.table,
            reconciler.running,
            reconciler.host,
            reconciler.listening,
            counters,
            self.capture_name,
        )

    def _verdict(self, now: float) -> HealthVerdict:
        table = self.reconciler.table
        self._health.node = node_state(table.node, watched=True, listed="nodes" in table.listed)
        return self._health.verdict(now)

    def _readiness(self) -> tuple[str, ...]:
        if self.reconciler.table.complete:
            self._latch.reached(StartStep.LISTED)
        return self._latch.reasons()

    def _no_endpoints(self) -> list[tuple[PortKey, NoEndpoints, int]]:
        return [
            (key, NoEndpoints(port.serving.verdict.value), len(port.listeners))
            for key, port in self.reconciler.running.ports.items()
            if port.serving.verdict is not Verdict.CARRY
        ]

    def _capture_view(self) -> CaptureView:
        capture = self._capture
        return CaptureView(capture.name, capture.detail, self.reconciler.captured.repairs, self._probes)

    def _warnings(self) -> tuple[str, ...]:
        found = []
        if self.reconciler.captured.error:
            found.append(self.reconciler.captured.error)
        if self.plane.paused:
            found.append(
                f"accepting had to rest {self.plane.paused} times: descriptors or connections ran out; "
                "raise LimitNOFILE or --max-connections"
            )
        return tuple(found)


def capture_settings(config: Config) -> CaptureSettings:
    """Return the capture part of the settings."""
    return CaptureSettings(
        mode=config.capture,
        sidecar=config.sidecar,
        proxy_address4=config.proxy_address,
        proxy_address6=config.proxy_address_ipv6,
        transparent=config.transparent != "off",
        workers=worker_count(config.workers) > 0,
    )


def plane_settings(config: Config) -> PlaneSettings:
    """Return the data plane's part of the settings."""
    return PlaneSettings(
        sockets=SocketSettings(keepalive=config.tcp_keepalive, user_timeout=config.tcp_user_timeout),
        half_close_timeout=config.half_close_timeout,
        max_connections=config.max_connections,
        affinity_clients=config.affinity_clients,
        transparent=config.transparent != "off",
        flow_records=config.observe_events,
        udp=UdpSettings(config.udp_timeout, config.udp_stream_timeout, config.udp_max_flows),
    )


def plan_settings(config: Config, capture: Capture) -> PlanSettings:
    """Return what plans depend on, given the capture that was chosen."""
    settings = capture_settings(config)
    return PlanSettings(
        capture=capture.name,
        proxy_address_ipv4=settings.listener_address(Family.IPV4),
        proxy_address_ipv6=settings.listener_address(Family.IPV6) if Family.IPV6 in capture.families else "",
        no_endpoints=NoEndpoints(config.no_endpoints),
        first_port=lowest_port(),
        pod_networks=config.pod_networks,
        node_ports=not config.sidecar,
        node_port_addresses=config.node_port_addresses,
        localhost_node_ports=config.localhost_nodeports,
        local_ports=local_port_range(),
        transparent_allowed=config.transparent != "off",
        options=PortOptions(
            balance=Balance(config.balance),
            eject_failures=config.eject,
            transparent=config.transparent == "all",
        ),
    )
