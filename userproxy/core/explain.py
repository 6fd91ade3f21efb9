"""Why traffic for an address or a Service goes where it goes.

Owns finding the Service ports that are meant and putting the reasons together. Decides nothing anew: endpoints come from
`core.topology`, verdicts from `core.policy` by way of what was applied (`core.plan.Running`). Words for endpoints and policies
are in `core.reasons`.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from userproxy.core.addresses import address_text
from userproxy.core.counters import PortCounters
from userproxy.core.explanation import Explanation, FrontendReason, PortExplanation, Way
from userproxy.core.plan import SERVED_PROTOCOLS, PortPlan, Running
from userproxy.core.reasons import (
    capture_text,
    endpoint_reasons,
    failure_lines,
    hints_text,
    outcome,
    policy_text,
    setting_lines,
)
from userproxy.core.status import FAMILY_NAMES
from userproxy.core.table import ServiceTable
from userproxy.core.target import Target
from userproxy.model import (
    Address,
    Frontend,
    FrontendKind,
    Host,
    ListenerSpec,
    PortKey,
    ServiceName,
    ServicePort,
    family_of,
)

MOST_PORTS = 32
"""Service ports in one explanation."""

_WAY_OUT = (
    "headless and ExternalName Services are not proxied, nor are those whose label "
    "service.kubernetes.io/service-proxy-name names another proxy"
)


@dataclass(frozen=True)
class World:
    """What the agent knows and has applied. `capture` is its name with detail, such as `redirect (nft)`."""

    table: ServiceTable
    running: Running
    host: Host
    bound: Mapping[ListenerSpec, Address]
    counters: Mapping[PortKey, PortCounters]
    capture: str


def explain(target: Target, source: str, world: World) -> tuple[Explanation, tuple[PortKey, ...]]:
    """Return the explanation and, in the same order, the keys of its ports. `source` is the client's address or empty."""
    keys = list(_keys(target, world))[:MOST_PORTS]
    found: list[tuple[PortKey, PortExplanation]] = []
    for key in keys:
        port = next((one for one in world.table.service_ports(key.name.service) if one.key == key), None)
        if port is not None:
            found.append((key, _port(port, target, source, world)))
    if not found:
        answer, advice = _not_found(target, world)
        return Explanation(str(target), source, answer, advice=advice), ()
    ports = tuple(port for _, port in found)
    return Explanation(str(target), source, _answer(ports), ports), tuple(key for key, _ in found)


def _keys(target: Target, world: World) -> Iterator[PortKey]:
    """Yield the Service ports that `target` means."""
    if target.service is not None:
        for port in world.table.service_ports(target.service):
            named = target.port in ("", port.key.name.port, str(port.port))
            if named and target.protocol in ("", port.key.name.protocol):
                yield port.key
        return
    if target.port:
        exact = [Frontend(target.address, int(target.port), target.protocol, kind) for kind in FrontendKind]
        owners = [world.running.owners[one] for one in exact if one in world.running.owners]
        if owners:
            yield owners[0]
            return
        for spec, address in world.bound.items():
            if address == (target.address, int(target.port)) and spec.key.name.protocol == target.protocol:
                yield spec.key
                return
    for name in world.table.at_address(target.address):
        for port in world.table.service_ports(name):
            numbers = {str(port.port)} | ({str(port.exposure.node_port)} - {"0"})
            fits = port.key.family is family_of(target.address) and (
                not target.port or target.port in numbers
            )
            if fits and target.protocol in ("", port.key.name.protocol):
                yield port.key


def _port(port: ServicePort, target: Target, source: str, world: World) -> PortExplanation:
    plan = world.running.ports.get(port.key)
    ways = tuple(_ways(port, plan, target, source, world)) if plan else ()
    counters = world.counters.get(port.key) or PortCounters()
    return PortExplanation(
        name=str(port.key.name),
        ip_family=FAMILY_NAMES[port.key.family],
        address=address_text((port.cluster_ip, port.port)),
        ways=ways,
        hints=hints_text(port.endpoints, world.host),
        endpoints=endpoint_reasons(port, world.host, local=any(way.local for way in ways)),
        settings=tuple(setting_lines(port)),
        failures=tuple(failure_lines(counters)),
        advice=tuple(_advice(port, plan, ways, world)),
    )


def _ways(port: ServicePort, plan: PortPlan, target: Target, source: str, world: World) -> Iterator[Way]:
    for route in plan.serving.routes:
        frontends = [
            FrontendReason(
                str(frontend), frontend.kind, capture_text(frontend, world.bound.get(spec), world.capture)
            )
            for frontend, spec in plan.frontends().items()
            if spec.scope is route.scope and target.address in ("", frontend.address, spec.address)
        ]
        listening = [spec for spec, _ in plan.listeners if spec.scope is route.scope]
        if not frontends and (plan.frontends() or not listening):
            # Reached by other addresses only, or left out by the target.
            continue
        what, why, local = outcome(port, route, plan.serving, world.host, source)
        yield Way(route.scope, tuple(frontends), policy_text(port, route), what, why, local)


def _answer(ports: tuple[PortExplanation, ...]) -> str:
    outcomes = {way.outcome for port in ports for way in port.ways}
    if len(ports) > 1:
        told = ", ".join(sorted(outcomes)) or "not served"
        return f"{len(ports)} Service ports: {told}"
    if not outcomes:
        return f"belongs to Service port {ports[0].name}, which is not served"
    way = ports[0].ways[0]
    if len(outcomes) == 1:
        return f"{way.outcome} by Service port {ports[0].name}: {way.why}"
    return f"Service port {ports[0].name}: by address {', '.join(sorted(outcomes))}"


def _advice(port: ServicePort, plan: PortPlan | None, ways: tuple[Way, ...], world: World) -> Iterator[str]:
    name = port.key.name
    if name.protocol not in SERVED_PROTOCOLS:
        yield f"{name.protocol} is not served by userproxy; traffic for it is left alone"
    elif plan is None:
        yield "no plan was applied for it yet; `userproxy status` says whether the agent is ready"
    for frontend, waiting in world.running.waiting.items():
        if port.key in waiting:
            holder = world.running.owners.get(frontend)
            yield f"{frontend} belongs to Service port {holder}; give one of the two another address"
    yield from world.table.warnings(name.service)
    if any(way.outcome in ("dropped", "refused") for way in ways):
        yield from _about_endpoints(port)
    for spec, _ in plan.listeners if plan else ():
        if spec not in world.bound and any(w.scope is spec.scope and w.outcome != "refused" for w in ways):
            yield f"the listener on {address_text((spec.address, spec.port))} is not open; the log says why"


def _about_endpoints(port: ServicePort) -> Iterator[str]:
    service = port.key.name
    where = f"-n {service.namespace}"
    if not port.endpoints:
        yield f"no endpoint is known: does the selector match a Pod?  kubectl {where} describe service {service.name}"
    elif not any(one.ready for one in port.endpoints):
        yield f"no endpoint is ready: look at the Pods' readiness probes  kubectl {where} get pods -o wide"
    else:
        yield "ready endpoints exist, but a traffic policy or source range keeps this traffic from them (see above)"


def _not_found(target: Target, world: World) -> tuple[str, tuple[str, ...]]:
    if target.service is not None:
        return _no_service(target, target.service, world)
    address = target.address
    others = sorted({str(one) for one in world.running.owners if one.address == address})
    if others:
        return "no Service has that port of this address", (f"it has {', '.join(others[:10])}",)
    of = sorted(
        {
            str(key.name)
            for key, plan in world.running.ports.items()
            if any(one[0] == address for one in (*plan.serving.cluster, *plan.serving.local))
        }
    )
    if of:
        return "not a Service's address, but an endpoint's", (
            f"it is behind {', '.join(of[:10])}; connections to a Pod's own address do not pass through this proxy",
        )
    return "no Service has this address", (
        "`userproxy get services -A` lists the addresses that are served here",
        _WAY_OUT,
    )


def _no_service(target: Target, name: ServiceName, world: World) -> tuple[str, tuple[str, ...]]:
    ports = [
        f"{one.key.name.port or one.port} ({one.port}/{one.key.name.protocol})"
        for one in world.table.service_ports(name)
    ]
    if ports:
        return f"Service {name} has no such port", (f"it has {', '.join(dict.fromkeys(ports))}",)
    elsewhere = [str(one) for one in world.table.services() if one.name == name.name]
    advice = [f"there is {', '.join(elsewhere[:10])}"] if elsewhere else []
    return f"no Service {name} is known here", (
        *advice,
        f"kubectl -n {name.namespace} get service {name.name} --show-labels",
        _WAY_OUT,
    )
