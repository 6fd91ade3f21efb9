"""The status view: what the proxy believes right now, as data.

Owns the shape of the `/status` answer (JSON keys are the field names) and how it is derived from the table and from what runs.
Serving it is `admin.status`'s work; showing it to people is the command line's. `StatusView` decodes its own JSON.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from datetime import datetime

import msgspec

from userproxy.api_objects import WatchState
from userproxy.core.addresses import address_text
from userproxy.core.counters import PortCounters
from userproxy.core.plan import PortPlan, Running
from userproxy.core.policy import Verdict
from userproxy.core.table import ServiceTable
from userproxy.model import (
    Address,
    Family,
    Frontend,
    FrontendKind,
    ListenerSpec,
    PortKey,
    Probe,
    ServiceName,
    ServicePort,
)

FAMILY_NAMES: dict[Family, str] = {Family.IPV4: "IPv4", Family.IPV6: "IPv6"}
"""How Kubernetes writes the families, in labels and in JSON."""


class CaptureView(msgspec.Struct, frozen=True):
    """The capture in use: name, one detail (`nft`, `iptables`), repairs made, and every probe's answer in order."""

    name: str
    detail: str = ""
    repairs: int = 0
    probes: tuple[Probe, ...] = ()


class WorkersView(msgspec.Struct, frozen=True):
    """The worker processes: how many run (0: connections live in the control process) and how many were replaced.

    `paused` is how often accepting rested because descriptors or connections ran out, `affinity_clients` how many records of
    session affinity are kept.
    """

    running: int = 0
    replaced: int = 0
    paused: int = 0
    affinity_clients: int = 0


class WatchView(msgspec.Struct, frozen=True):
    """How a watch is doing. `last_event_age` is in seconds, None when there was no event yet."""

    resource: str
    listed: bool
    connected: bool
    last_event_age: float | None
    objects: int
    restarts: dict[str, int]
    relists: int
    decode_errors: int
    last_error: str


class FrontendView(msgspec.Struct, frozen=True):
    """An address that clients reach, and the `host:port` of the listener behind it, empty while there is none."""

    address: str
    port: int
    protocol: str
    kind: FrontendKind
    listener: str


class ListenerView(msgspec.Struct, frozen=True):
    """A listening socket. `port` is 0 while it is not open and the kernel would choose one."""

    address: str
    port: int
    open: bool
    captured_only: bool


class EndpointView(msgspec.Struct, frozen=True):
    """An endpoint with its conditions, and whether new connections may go to it now."""

    address: str
    port: int
    node: str
    ready: bool
    serving: bool
    terminating: bool
    in_use: bool


class ServicePortView(msgspec.Struct, frozen=True):
    """One Service port on one IP family. `verdict` is None until a plan was applied for it."""

    port: str
    protocol: str
    ip_family: str
    cluster_ip: str
    number: int
    verdict: Verdict | None
    frontends: tuple[FrontendView, ...]
    listeners: tuple[ListenerView, ...]
    endpoints: tuple[EndpointView, ...]
    counters: PortCounters
    warnings: tuple[str, ...]
    affinity_seconds: int = 0
    """session affinity by client address; 0: none"""


class ServiceView(msgspec.Struct, frozen=True):
    """A Service with all its ports; `warnings` are about the object itself, such as a bad annotation."""

    namespace: str
    name: str
    ports: tuple[ServicePortView, ...]
    warnings: tuple[str, ...]
    labels: dict[str, str] = {}


class ConnectionTotals(msgspec.Struct, frozen=True):
    """Connections of all Service ports together."""

    active: int = 0
    accepted: int = 0
    carried: int = 0
    failed: int = 0


class StatusView(msgspec.Struct, frozen=True):
    """The whole answer. `services` is the last field, so that it can be written piece by piece."""

    versions: dict[str, str]
    started: datetime
    now: datetime
    healthy: bool
    node_eligible: bool
    ready: bool
    waiting_for: tuple[str, ...]
    capture: CaptureView
    watches: tuple[WatchView, ...]
    connections: ConnectionTotals
    warnings: tuple[str, ...]
    workers: WorkersView = WorkersView()
    services: tuple[ServiceView, ...] = ()


def watch_view(state: WatchState, now: float) -> WatchView:
    """Return a watch as it looks at `now`, seconds of the monotonic clock."""
    age = None if state.last_event is None else round(max(0.0, now - state.last_event), 3)
    return WatchView(
        resource=state.resource,
        listed=state.listed,
        connected=state.connected,
        last_event_age=age,
        objects=state.objects,
        restarts=dict(state.restarts),
        relists=state.relists,
        decode_errors=state.decode_errors,
        last_error=state.last_error,
    )


def connection_totals(counters: Iterable[PortCounters]) -> ConnectionTotals:
    """Return the sums over Service ports."""
    active = accepted = carried = failed = 0
    for one in counters:
        active += one.active
        accepted += one.accepted
        carried += one.carried
        failed += one.failed
    return ConnectionTotals(active, accepted, carried, failed)


def service_views(
    table: ServiceTable,
    running: Running,
    counters: Mapping[PortKey, PortCounters],
    bound: Mapping[ListenerSpec, Address],
    names: Iterable[ServiceName] | None = None,
) -> Iterator[ServiceView]:
    """Yield every Service by name, or those of `names`, each as it is when it is reached; removed ones have no ports.

    `bound` holds the address of each listener that is open.
    """
    waiting = {key: frontend for frontend, keys in running.waiting.items() for key in keys}
    for name in tuple(table.services() if names is None else names):
        ports = tuple(
            _port_view(port, running, counters, bound, waiting.get(port.key))
            for port in table.service_ports(name)
        )
        yield ServiceView(name.namespace, name.name, ports, table.warnings(name), table.labels(name))


def _port_view(
    port: ServicePort,
    running: Running,
    counters: Mapping[PortKey, PortCounters],
    bound: Mapping[ListenerSpec, Address],
    waits_for: Frontend | None,
) -> ServicePortView:
    plan = running.ports.get(port.key)
    warnings = list(_closed_listeners(plan, bound)) if plan else []
    if waits_for is not None:
        holder = running.owners.get(waits_for)
        warnings.append(
            f"{waits_for} belongs to {holder or 'another Service'}; it is served when that one lets go"
        )
    return ServicePortView(
        port=port.key.name.port,
        protocol=port.key.name.protocol,
        ip_family=FAMILY_NAMES[port.key.family],
        cluster_ip=port.cluster_ip,
        number=port.port,
        verdict=plan.serving.verdict if plan else None,
        frontends=tuple(_frontend_views(plan, bound)) if plan else (),
        listeners=tuple(_listener_view(spec, bound) for spec, _ in plan.listeners) if plan else (),
        endpoints=_endpoint_views(port, plan),
        counters=counters.get(port.key) or PortCounters(),
        warnings=tuple(warnings),
        affinity_seconds=port.options.affinity_seconds,
    )


def _closed_listeners(plan: PortPlan, bound: Mapping[ListenerSpec, Address]) -> Iterator[str]:
    for spec, _ in plan.listeners:
        # Closed listeners are how a rejected connection gets its RST.
        if spec not in bound and plan.serving.route(spec.scope).verdict is not Verdict.REJECT:
            yield f"the listener on {address_text((spec.address, spec.port))} is not open"


def _frontend_views(plan: PortPlan, bound: Mapping[ListenerSpec, Address]) -> Iterator[FrontendView]:
    for frontend, spec in plan.frontends().items():
        address = bound.get(spec)
        listener = address_text(address) if address else ""
        yield FrontendView(frontend.address, frontend.port, frontend.protocol, frontend.kind, listener)


def _listener_view(spec: ListenerSpec, bound: Mapping[ListenerSpec, Address]) -> ListenerView:
    address = bound.get(spec)
    number = address[1] if address else spec.port
    return ListenerView(spec.address, number, address is not None, spec.captured_only)


def _endpoint_views(port: ServicePort, plan: PortPlan | None) -> tuple[EndpointView, ...]:
    in_use = {*plan.serving.cluster, *plan.serving.local} if plan else set()
    return tuple(
        EndpointView(
            one.address,
            one.port,
            one.node,
            one.ready,
            one.serving,
            one.terminating,
            one.socket_address in in_use,
        )
        for one in port.endpoints
    )
