"""The loop: takes what has changed, has it planned, and applies the plan.

Owns the order of changes and when they are tried again. It decides nothing (`core.plan` does) and knows no kernel
interface: the data plane and the capture come in as the Protocols of `edges`. What capture holds is `reconcile.captured`'s.

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
from userproxy.model import (
    Address,
    Host,
    ListenerSpec,
    ServiceName,
    ServicePort,
)
from userproxy.reconcile.captured import Captured
from userproxy.reconcile.retries import Retries

log = logging.getLogger(__name__)


PORTION = 1000
"""Services planned and applied at once: about 0.1 s in which the loop does nothing else, and one run of a rule program."""


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
        self.captured = Captured(capture, clock, changed)
        self.counters = SyncCounters()
        self.health = health
        self.ready = asyncio.Event()
        """set once, after everything listed was applied for the first time"""
        self._plane = plane
        self._settings = settings
        self._clock = clock
        self._health_checks = health_checks
        self._event = warn or (lambda service, reason, text: None)
        self.check_failures: dict[HealthCheck, str] = {}
        self._checks_due: set[ServiceName] = set()
        self._changed = changed
        self.host = Host(node)
        self._wake = asyncio.Event()
        self._retries = Retries()
        self._retry_at: float | None = None
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
            if self._clock() >= self.captured.look_at:
                await self._look_at_capture()

    async def _wait(self) -> None:
        """Return when there is something to apply, to retry or to look after; before both lists are there nothing is."""
        seconds = None
        if self.table.complete:
            look_at = self.captured.look_at
            due = min(look_at, self._retry_at if self._retry_at is not None else look_at)
            seconds = max(0.0, due - self._clock())
        try:
            async with asyncio.timeout(seconds):
                await self._wake.wait()
        except TimeoutError:
            return
        self._wake.clear()

    async def _apply(self) -> None:
        """Apply what is touched by now, in portions: workers and rule programs take in one while the next is planned."""
        started = self._clock()
        self.counters.service_changes_pending = self.counters.endpoint_changes_pending = 0
        due = self.table.touched
        failed = False
        async with asyncio.TaskGroup() as under_way:
            while due > 0:
                touched = self.table.take(PORTION)
                due -= len(touched)
                failed |= await self._apply_portion(touched, under_way)
                # Programs start, workers get what they had no room for, probes are answered.
                await asyncio.sleep(0)
            await self.captured.settled()
            await self._plane.close((), ())
        if failed:
            self._retry_at = self._clock() + self._retries.failed()
        elif not self.failures:
            self._retries.succeeded()
        if not self.captured.error:
            await self._show_health_checks()
            self._applied(started)

    async def _apply_portion(
        self, touched: Mapping[ServiceName, tuple[ServicePort, ...]], under_way: asyncio.TaskGroup
    ) -> bool:
        """Return whether a listener could not be opened."""
        step = plan(self.running, touched, self._settings, self.host)
        self._warn(touched, step)
        # Most Services a flood touches want what they have: no worker and no kernel need hear of it.
        failed = {} if step.empty else await self._carry_out(step, under_way)
        for change in service_changes(self.running, step, self._clock()):
            self._changed(change)
        again = self.running.record(step, failed)
        if again:
            self.table.touch(again)
            self._wake.set()
        self._checks_due.update(service for service, _ in step.health_checks)
        return bool(failed)

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
            self._retry_at = self._clock() + self._retries.failed()

    async def _carry_out(self, step: Plan, under_way: asyncio.TaskGroup) -> dict[ListenerSpec, str]:
        """Take the steps of a plan in order; returns the listeners that could not be opened, and why.

        Where nothing is taken away, the last step is capture, and goes on in `under_way`.
        """
        opened = await self._plane.open(step.open, step.serve)
        self.listening.update(opened.addresses)
        for spec in opened.failures:
            self.listening.pop(spec, None)
        self._note_failures(step, opened.failures)
        await self.captured.change(step, self.listening, under_way)
        if step.release or step.close or step.forget:
            await self.captured.settled()
            await self._plane.close(step.close, step.forget)
            for spec in step.close:
                self.listening.pop(spec, None)
        return opened.failures

    async def _look_at_capture(self) -> None:
        started = self._clock()
        if await self.captured.look():
            # What was applied while capture refused is in effect only now.
            await self._show_health_checks()
            self._applied(started)

    def _applied(self, started: float) -> None:
        now = self._clock()
        self.counters.observe(now - started)
        self.health.applied(now, until=started)
        self.ready.set()

    def _note_failures(self, step: Plan, failures: dict[ListenerSpec, str]) -> None:
        # A plan names every listener that its Service ports want, so what failed for them before is answered by it.
        if self.failures:
            planned = {port.serving.key for port in step.record}.union(step.forget)
            self.failures = {spec: text for spec, text in self.failures.items() if spec.key not in planned}
        for spec, reason in failures.items():
            fields = {"service": str(spec.key.name), "listener": address_text((spec.address, spec.port))}
            log.warning("%s; tried again until it works", reason, extra=fields)
            self._event(spec.key.name.service, "FailedToListen", reason)
            text = f"{reason}; tried again until it works"
            self._changed(Change(self._clock(), "listener", text, spec.key))
            self.failures[spec] = reason

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
