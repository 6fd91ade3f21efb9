"""The one loop that writes: snapshot -> plan -> apply in safe order -> record.

Owns the order of changes and their retries. It decides nothing (`core.plan` does) and knows no kernel interface: the
data plane and the capture come in as the Protocols of `edges`.

Order of each change: endpoints and new listeners, then redirects and routes, then closed listeners. So no packet is ever sent
to a port that nobody listens on.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Mapping, Sequence

from userproxy.api_objects import Changes
from userproxy.core.addresses import address_text
from userproxy.core.health import SyncHealth
from userproxy.core.health_checks import HealthCheck
from userproxy.core.plan import Plan, Running, plan
from userproxy.core.plan_settings import PlanSettings
from userproxy.core.service_events import Change, service_changes
from userproxy.core.service_warnings import service_warnings
from userproxy.core.sync_counters import SyncCounters
from userproxy.core.table import ServiceTable
from userproxy.edges import Capture, HealthChecks, Plane, Warn
from userproxy.errors import CaptureError
from userproxy.model import (
    Address,
    CaptureEntry,
    Frontend,
    FrontendKind,
    Host,
    ListenerSpec,
    ServiceName,
    ServicePort,
)

log = logging.getLogger(__name__)

REPAIR_SECONDS = 2.0
"""Between two looks at what the kernel holds; another tool's flush is undone within one look."""
RETRY_SECONDS = (0.5, 1.0, 2.0, 5.0, 10.0, 30.0)
"""Waits before a listener that could not be opened, or a refused capture change, is tried again."""


class Reconciler:
    """Folds changes into the table and applies plans. The only writer of table, running state, data plane and capture."""

    def __init__(
        self,
        plane: Plane,
        capture: Capture,
        settings: PlanSettings,
        health: SyncHealth,
        clock: Callable[[], float],
        node: str = "",
        health_checks: HealthChecks | None = None,
        warn: Warn | None = None,
        changed: Callable[[Change], None] = lambda _: None,
    ) -> None:
        """`node` is the name of our Node; `clock` gives seconds of the monotonic clock.

        `warn` makes Events of the API server, `changed` takes those of `userproxy observe`.
        """
        self.table = ServiceTable(settings.options, transparent_allowed=settings.transparent_allowed)
        self.running = Running()
        self.listening: dict[ListenerSpec, Address] = {}
        self.failures: dict[ListenerSpec, str] = {}
        self.capture_error = ""
        self.capture_repairs = 0
        """how often the kernel's state had been changed by someone else and was restored"""
        self.counters = SyncCounters()
        self.health = health
        self.ready = asyncio.Event()
        """set once, after everything listed was applied for the first time"""
        self._plane = plane
        self._capture = capture
        self._settings = settings
        self._clock = clock
        self._health_checks = health_checks
        self._event = warn or (lambda service, reason, text: None)
        self.check_failures: dict[HealthCheck, str] = {}
        self._checks_due: set[ServiceName] = set()
        self._changed = changed
        self.host = Host(node)
        self._entries: dict[Frontend, CaptureEntry] = {}
        self._wake = asyncio.Event()
        self._retries = 0
        self._retry_at: float | None = None
        self._repair_at = 0.0
        self._warned: dict[ServiceName, tuple[str, ...]] = {}

    def feed(self, changes: Changes) -> None:
        """Take a batch from a watch; it is applied soon, together with whatever comes meanwhile."""
        count = len(changes.changed) + len(changes.removed)
        self.table.apply(changes)
        if count and changes.resource == "services":
            self.counters.service_changes += count
            self.counters.service_changes_pending += count
        elif count and changes.resource == "endpointslices":
            self.counters.endpoint_changes += count
            self.counters.endpoint_changes_pending += count
        self._look_at_host(self.host.addresses)
        if self.table.touched:
            self.health.queued(None, self._clock())
        self._wake.set()

    def feed_addresses(self, addresses: Sequence[str]) -> None:
        """Take the addresses of the host's interfaces, as they are now."""
        self._look_at_host(tuple(addresses))
        if self.table.touched:
            self._wake.set()

    def _look_at_host(self, addresses: tuple[str, ...]) -> None:
        """Mark the Services that what changed about the host and its Node matters for."""
        node, before = self.table.node, self.host
        zone = node.zone if node else before.zone
        node_addresses = node.addresses if node else before.node_addresses
        self.host = Host(before.node, zone, node_addresses, addresses)
        if zone != before.zone:
            self.table.touch_all()
        elif self.host != before:
            self.table.touch_host_dependent()

    def configure(self, settings: PlanSettings) -> None:
        """Plan every Service anew with other settings. The capture and the addresses of listeners cannot change."""
        if settings != self._settings:
            self._settings = settings
            self.table.configure(settings.options)
            self._wake.set()

    async def run(self) -> None:
        """Apply, repair and retry until cancelled."""
        self._repair_at = self._clock() + REPAIR_SECONDS
        while True:
            await self._wait()
            if not self.table.complete:
                continue
            if self._retry_at is not None and self._clock() >= self._retry_at:
                self._retry_at = None
                self.table.touch({spec.key.name.service for spec in self.failures})
                self._checks_due.update(check.service for check in self.check_failures)
                await self._show_health_checks()
            if self.table.touched or not self.ready.is_set():
                await self._apply()
            if self._clock() >= self._repair_at:
                await self._repair()

    async def _wait(self) -> None:
        """Return when there is something to apply, to retry or to look after."""
        due = min(self._repair_at, self._retry_at if self._retry_at is not None else self._repair_at)
        try:
            async with asyncio.timeout(max(0.0, due - self._clock())):
                await self._wake.wait()
        except TimeoutError:
            return
        self._wake.clear()

    async def _apply(self) -> None:
        started = self._clock()
        self.counters.service_changes_pending = self.counters.endpoint_changes_pending = 0
        touched = self.table.take()
        step = plan(self.running, touched, self._settings, self.host)
        self._warn(touched, step)
        # Most Services a flood touches want what they have: no worker and no kernel need hear of it.
        failed = {} if step.empty else await self._carry_out(step)
        for change in service_changes(self.running, step, self._clock()):
            self._changed(change)
        again = self.running.record(step, failed)
        if again:
            self.table.touch(again)
            self._wake.set()
        self._checks_due.update(service for service, _ in step.health_checks)
        if not self.capture_error:
            await self._show_health_checks()
            self._applied(started)

    async def _show_health_checks(self) -> None:
        if self._health_checks is None or not self._checks_due:
            return
        due, self._checks_due = self._checks_due, set()
        failures = await self._health_checks.show(
            {service: self.running.health_checks.get(service, ()) for service in due}
        )
        before = self.check_failures
        others = {check: reason for check, reason in before.items() if check.service not in due}
        self.check_failures = others | failures
        for check, reason in failures.items():
            if before.get(check) != reason:
                fields = {"service": str(check.service)}
                log.warning("%s; tried again until it works", reason, extra=fields)
                self._event(check.service, "FailedToStartServiceHealthcheck", reason)
        if failures:
            self._retry_at = self._clock() + self._next_retry()

    async def _carry_out(self, step: Plan) -> dict[ListenerSpec, str]:
        """Take the steps of a plan in order; returns the listeners that could not be opened, and why."""
        opened = await self._plane.open(step.open, step.serve)
        self.listening.update(opened.addresses)
        for spec in opened.failures:
            self.listening.pop(spec, None)
        self._note_failures(step, opened.failures)
        await self._capture_change(step)
        await self._plane.close(step.close, step.forget)
        for spec in step.close:
            self.listening.pop(spec, None)
        return opened.failures

    async def _capture_change(self, step: Plan) -> None:
        remove = [self._entries.pop(frontend) for frontend in step.release if frontend in self._entries]
        add = []
        for frontend, spec in step.capture:
            # A node port's listener is bound to the node's own address: packets reach it as they are.
            if spec in self.listening and frontend.kind is not FrontendKind.NODE_PORT:
                if frontend in self._entries:
                    # Of a listener that could not go on and was opened anew.
                    remove.append(self._entries[frontend])
                entry = CaptureEntry(frontend, self.listening[spec])
                self._entries[frontend] = entry
                add.append(entry)
        if not add and not remove:
            return
        if self.capture_error:
            # The kernel is not where we think it is; the next repair writes everything anew.
            self._repair_at = min(self._repair_at, self._retry_at or self._repair_at)
            return
        try:
            await self._capture.change(add, remove)
        except CaptureError as error:
            self._capture_failed(error)

    async def _repair(self) -> None:
        self._repair_at = self._clock() + REPAIR_SECONDS
        started = self._clock()
        try:
            rewrote = await self._capture.repair(tuple(self._entries.values()))
        except CaptureError as error:
            self._capture_failed(error)
            return
        if self.capture_error:
            log.info("capture works again")
            self._changed(Change(self._clock(), "capture", "capture works again"))
            self.capture_error = ""
            self._retries = 0
            await self._show_health_checks()
            self._applied(started)
        elif rewrote:
            log.warning("capture rules had been changed by another program; they are restored")
            self.capture_repairs += 1
            text = "capture rules had been changed by another program; they are restored"
            self._changed(Change(self._clock(), "capture", text))

    def _applied(self, started: float) -> None:
        now = self._clock()
        self.counters.observe(now - started)
        self.health.applied(now, until=started)
        self.ready.set()

    def _capture_failed(self, error: CaptureError) -> None:
        if str(error) != self.capture_error:
            log.error("capture: %s; tried again until it works", error)
            self._changed(Change(self._clock(), "capture", f"{error}; tried again until it works"))
        self.capture_error = str(error)
        self._repair_at = self._clock() + self._next_retry()

    def _note_failures(self, step: Plan, failures: dict[ListenerSpec, str]) -> None:
        # A plan names every listener that its Service ports want, so what failed for them before is answered by it.
        planned = {port.serving.key for port in step.record}.union(step.forget)
        self.failures = {spec: text for spec, text in self.failures.items() if spec.key not in planned}
        for spec, reason in failures.items():
            fields = {"service": str(spec.key.name), "listener": address_text((spec.address, spec.port))}
            log.warning("%s; tried again until it works", reason, extra=fields)
            self._event(spec.key.name.service, "FailedToListen", reason)
            text = f"{reason}; tried again until it works"
            self._changed(Change(self._clock(), "listener", text, spec.key))
            self.failures[spec] = reason
        if failures:
            self._retry_at = self._clock() + self._next_retry()
        elif not self.failures and not self.capture_error:
            self._retries = 0

    def _next_retry(self) -> float:
        wait = RETRY_SECONDS[min(self._retries, len(RETRY_SECONDS) - 1)]
        self._retries += 1
        return wait

    def _warn(self, touched: Mapping[ServiceName, tuple[ServicePort, ...]], step: Plan) -> None:
        """Tell what is wrong with the touched Services, once for each new finding."""
        annotations = {name: self.table.warnings(name) for name in touched}
        for name, lines in service_warnings(annotations, touched, step.contended, self._settings).items():
            for line in lines:
                if line not in self._warned.get(name, ()):
                    log.warning("%s", line, extra={"service": str(name)})
                    self._event(name, "Misconfigured", line)
            if lines:
                self._warned[name] = lines
            else:
                self._warned.pop(name, None)

    def warnings(self, name: ServiceName) -> tuple[str, ...]:
        """Return what is wrong with one Service, one line each."""
        failed = tuple(text for spec, text in self.failures.items() if spec.key.name.service == name)
        return self._warned.get(name, ()) + failed
