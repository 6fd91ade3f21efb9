"""What must change to get from what runs to what the snapshot wants.

Owns the decisions: which listeners a Service port needs in each capture mode, which Service port owns a frontend, what is
served while no endpoint is usable. `plan` is a pure function of what runs and of the touched Services; its cost does not
depend on the number of other Services. `Running` remembers what was applied; only the reconcile loop writes to it.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence

import msgspec

from userproxy.core.health_checks import HealthCheck, health_checks
from userproxy.core.listening import (
    Listeners,
    listeners_at_frontends,
    listeners_at_proxy,
    node_port_listeners,
)
from userproxy.core.loopback import loopback_address, loopback_port
from userproxy.core.plan_settings import PlanSettings
from userproxy.core.policy import Route, Verdict, needs_local_set, routes
from userproxy.core.topology import cluster_set, local_set
from userproxy.model import (
    DEFAULT_OPTIONS,
    Address,
    Endpoint,
    Family,
    Frontend,
    FrontendKind,
    Host,
    ListenerSpec,
    PortKey,
    PortOptions,
    Scope,
    ServiceName,
    ServicePort,
)

SERVED_PROTOCOLS = frozenset({"TCP", "UDP"})


class Serving(msgspec.Struct, frozen=True, gc=False, array_like=True):
    """Where the connections of one Service port go, and how."""

    key: PortKey
    cluster: tuple[Address, ...]
    """endpoints that may be used, wherever they are"""
    local: tuple[Address, ...]
    """those on this node; empty unless a route asks for them"""
    routes: tuple[Route, ...]
    """one for each scope in use, that of the ClusterIP first"""
    options: PortOptions = DEFAULT_OPTIONS
    lasting: tuple[Address, ...] = ()
    """endpoints outside both sets that keep the UDP flows they have: they serve, policies and hints notwithstanding"""

    @property
    def verdict(self) -> Verdict:
        """What clients of the ClusterIP meet."""
        return self.routes[0].verdict

    def route(self, scope: Scope) -> Route:
        """Return the route of a listener's scope."""
        return next((route for route in self.routes if route.scope == scope), self.routes[0])


class PortPlan(msgspec.Struct, frozen=True, gc=False):
    """All that runs, or shall run, for one Service port on one family."""

    serving: Serving
    listeners: tuple[tuple[ListenerSpec, tuple[Frontend, ...]], ...]

    def frontends(self) -> dict[Frontend, ListenerSpec]:
        """Return each frontend with the listener that answers it."""
        return {frontend: spec for spec, frontends in self.listeners for frontend in frontends}

    def without(self, lost: Collection[ListenerSpec]) -> PortPlan:
        """Return the same without the listeners in `lost`."""
        return PortPlan(self.serving, tuple(item for item in self.listeners if item[0] not in lost))


class Plan(msgspec.Struct, frozen=True):
    """Steps in the order they are applied: open and serve, then capture and release, then close and forget."""

    open: tuple[ListenerSpec, ...] = ()
    serve: tuple[Serving, ...] = ()
    capture: tuple[tuple[Frontend, ListenerSpec], ...] = ()
    release: tuple[Frontend, ...] = ()
    close: tuple[ListenerSpec, ...] = ()
    forget: tuple[PortKey, ...] = ()
    record: tuple[PortPlan, ...] = ()
    loopback: tuple[tuple[ServiceName, str | None], ...] = ()
    contended: tuple[tuple[Frontend, PortKey, PortKey], ...] = ()
    """a frontend, the Service port that holds it, and the one that must wait for it"""
    health_checks: tuple[tuple[ServiceName, tuple[HealthCheck, ...]], ...] = ()
    """Services whose health checks have changed"""

    @property
    def empty(self) -> bool:
        """Whether there is nothing to do."""
        sockets = self.open or self.serve or self.capture or self.release or self.close or self.forget
        return not (sockets or self.health_checks)


class Running:
    """What was applied so far: Service ports, who owns each frontend, and who waits for one."""

    def __init__(self) -> None:
        self.ports: dict[PortKey, PortPlan] = {}
        self.of_service: dict[ServiceName, set[PortKey]] = {}
        self.owners: dict[Frontend, PortKey] = {}
        self.waiting: dict[Frontend, set[PortKey]] = {}
        self.loopback: dict[ServiceName, str] = {}
        self.loopback_taken: dict[str, ServiceName] = {}
        self.health_checks: dict[ServiceName, tuple[HealthCheck, ...]] = {}

    def record(self, plan: Plan, failed: Iterable[ListenerSpec] = ()) -> set[ServiceName]:
        """Take over an applied plan, without the listeners that could not be opened.

        Returns the Services to plan again because a frontend they wait for became free.
        """
        lost = set(failed)
        freed = set(plan.release)
        for frontend in plan.release:
            self.owners.pop(frontend, None)
        for key in plan.forget:
            self._forget(key)
        for port in plan.record:
            self._keep(port.without(lost) if lost else port)
        for name, address in plan.loopback:
            self._assign_loopback(name, address)
        for name, checks in plan.health_checks:
            if checks:
                self.health_checks[name] = checks
            else:
                self.health_checks.pop(name, None)
        again: set[ServiceName] = set()
        for frontend, holder, waiter in plan.contended:
            self.waiting.setdefault(frontend, set()).add(waiter)
            if self.owners.get(frontend) != holder:
                freed.add(frontend)
        for frontend in freed:
            again.update(key.name.service for key in self.waiting.pop(frontend, ()))
        return again

    def _keep(self, port: PortPlan) -> None:
        key = port.serving.key
        self.ports[key] = port
        self.of_service.setdefault(key.name.service, set()).add(key)
        for _, frontends in port.listeners:
            for frontend in frontends:
                self.owners[frontend] = key

    def _forget(self, key: PortKey) -> None:
        self.ports.pop(key, None)
        keys = self.of_service.get(key.name.service, set())
        keys.discard(key)
        if not keys:
            self.of_service.pop(key.name.service, None)

    def _assign_loopback(self, name: ServiceName, address: str | None) -> None:
        if address is None:
            self.loopback_taken.pop(self.loopback.pop(name, ""), None)
        else:
            self.loopback[name] = address
            self.loopback_taken[address] = name


def plan(
    running: Running,
    changes: Mapping[ServiceName, tuple[ServicePort, ...]],
    settings: PlanSettings,
    host: Host,
) -> Plan:
    """Return the steps from `running` to what the touched Services in `changes` want on `host`."""
    draft = _Draft(running, settings, host)
    for name, ports in changes.items():
        draft.service(name, [port for port in ports if port.key.name.protocol in SERVED_PROTOCOLS])
    return draft.finish()


class _Draft:
    """A plan in the making; frontends granted in this plan are claimed at once so that two Services cannot share one."""

    def __init__(self, running: Running, settings: PlanSettings, host: Host) -> None:
        self._running = running
        self._settings = settings
        self._host = host
        self._claimed: dict[Frontend, PortKey] = {}
        self._loopback: dict[ServiceName, str | None] = {}
        self._loopback_new: set[str] = set()
        self._open: list[ListenerSpec] = []
        self._serve: list[Serving] = []
        self._capture: list[tuple[Frontend, ListenerSpec]] = []
        self._release: list[Frontend] = []
        self._close: list[ListenerSpec] = []
        self._forget: list[PortKey] = []
        self._record: list[PortPlan] = []
        self._contended: list[tuple[Frontend, PortKey, PortKey]] = []
        self._health_checks: list[tuple[ServiceName, tuple[HealthCheck, ...]]] = []

    def finish(self) -> Plan:
        return Plan(
            tuple(self._open),
            tuple(self._serve),
            tuple(self._capture),
            tuple(self._release),
            tuple(self._close),
            tuple(self._forget),
            tuple(self._record),
            tuple(self._loopback.items()),
            tuple(self._contended),
            tuple(self._health_checks),
        )

    def service(self, name: ServiceName, ports: list[ServicePort]) -> None:
        if name in self._running.of_service:
            for key in sorted(self._running.of_service[name].difference(port.key for port in ports)):
                self._remove(key)
        if not ports and name in self._running.loopback:
            self._loopback[name] = None
        for port in ports:
            self._port(port, self._listeners(port, ports))
        checks = health_checks(name, ports, self._host, self._settings)
        if checks != self._running.health_checks.get(name, ()):
            self._health_checks.append((name, checks))

    def _remove(self, key: PortKey) -> None:
        before = self._running.ports[key]
        self._release.extend(before.frontends())
        self._close.extend(spec for spec, _ in before.listeners)
        self._forget.append(key)

    def _port(
        self, port: ServicePort, listeners: Iterable[tuple[ListenerSpec, tuple[Frontend, ...]]]
    ) -> None:
        serving = self._serving(port)
        after = PortPlan(serving, tuple(self._granted(port.key, listeners)))
        before = self._running.ports.get(port.key)
        if before == after:
            return
        self._record.append(after)
        if before is None:
            self._serve.append(serving)
            self._open.extend([spec for spec, _ in after.listeners])
            self._capture.extend(after.frontends().items())
        else:
            self._change(before, after)

    def _change(self, before: PortPlan, after: PortPlan) -> None:
        if before.serving != after.serving:
            self._serve.append(after.serving)
        had = {spec: None for spec, _ in before.listeners}
        has = {spec: None for spec, _ in after.listeners}
        self._open.extend(spec for spec in has if spec not in had)
        self._close.extend(spec for spec in had if spec not in has)
        old, new = before.frontends(), after.frontends()
        self._release.extend(frontend for frontend, spec in old.items() if new.get(frontend) != spec)
        self._capture.extend((frontend, spec) for frontend, spec in new.items() if old.get(frontend) != spec)

    def _serving(self, port: ServicePort) -> Serving:
        host, settings = self._host, self._settings
        cluster = _addresses(cluster_set(port.endpoints, host.node, host.zone))
        local = _addresses(local_set(port.endpoints, host.node)) if needs_local_set(port) else ()
        no_endpoints = port.no_endpoints or settings.no_endpoints
        found = routes(port, host, settings.pod_networks, no_endpoints, cluster, local)
        lasting: tuple[Address, ...] = ()
        if port.key.name.protocol == "UDP":
            # Row 1.11.3: a flow stays with its endpoint as long as that serves.
            serving = _addresses(endpoint for endpoint in port.endpoints if endpoint.serving)
            lasting = tuple(sorted({*serving}.difference(cluster, local)))
        return Serving(port.key, cluster, local, found, port.options, lasting)

    def _granted(
        self, key: PortKey, listeners: Iterable[tuple[ListenerSpec, tuple[Frontend, ...]]]
    ) -> Iterable[tuple[ListenerSpec, tuple[Frontend, ...]]]:
        for spec, frontends in listeners:
            mine: list[Frontend] = []
            for frontend in frontends:
                holder = self._claimed.get(frontend) or self._running.owners.get(frontend) or key
                if holder == key:
                    self._claimed[frontend] = key
                    mine.append(frontend)
                else:
                    self._contended.append((frontend, holder, key))
            if mine or not frontends:
                yield spec, tuple(mine)

    def _listeners(self, port: ServicePort, ports: Sequence[ServicePort]) -> Listeners:
        """Return what `port` needs, one of the `ports` of its Service."""
        mode = self._settings.capture
        if mode == "loopback":
            captured = self._loopback_listeners(port, ports)
        elif mode == "route":
            captured = listeners_at_frontends(port)
        else:
            captured = listeners_at_proxy(port, self._settings)
        return captured + node_port_listeners(port, self._settings, self._host)

    def _loopback_listeners(self, port: ServicePort, ports: Sequence[ServicePort]) -> Listeners:
        key = port.key
        if key.family is Family.IPV6 and any(one.key.family is Family.IPV4 for one in ports):
            # There is one IPv6 loopback address only, so a dual-stack Service is offered on its IPv4 side.
            return []
        name = key.name.service
        address = port.cluster_ip if port.cluster_ip.startswith("127.") else self._loopback_of(name)
        number = loopback_port(port.port, {one.port for one in ports}, self._settings.first_port)
        frontend = Frontend(address, number, key.name.protocol, FrontendKind.LOOPBACK)
        return [(ListenerSpec(key, address, number, captured_only=False), (frontend,))]

    def _loopback_of(self, name: ServiceName) -> str:
        known = self._loopback.get(name) or self._running.loopback.get(name)
        if known:
            return known
        address = loopback_address(name, self._is_loopback_taken)
        self._loopback[name] = address
        self._loopback_new.add(address)
        return address

    def _is_loopback_taken(self, address: str) -> bool:
        return address in self._loopback_new or address in self._running.loopback_taken


def _addresses(endpoints: Iterable[Endpoint]) -> tuple[Address, ...]:
    return tuple([(endpoint.address, endpoint.port) for endpoint in endpoints])
