"""The status view derived from a real table, plan and counters.

Each case builds a snapshot, plans it, and looks at the view as a person would.
"""

from __future__ import annotations

from datetime import UTC, datetime

import msgspec

from userproxy.api_objects import (
    Changes,
    EndpointSlice,
    Service,
    ServiceSpecPort,
    SlicePort,
    WatchState,
)
from userproxy.core.counters import PortCounters
from userproxy.core.plan import Running, plan
from userproxy.core.plan_settings import PlanSettings
from userproxy.core.policy import Verdict
from userproxy.core.status import (
    CaptureView,
    ConnectionTotals,
    ServiceView,
    StatusView,
    connection_totals,
    service_views,
    watch_view,
)
from userproxy.core.table import ServiceTable
from userproxy.model import (
    Address,
    Endpoint,
    Family,
    Host,
    ListenerSpec,
    NoEndpoints,
    PortKey,
    Probe,
    ServicePortName,
)

HTTP = ServiceSpecPort("http", "TCP", 80)


def service(name: str, address: str = "10.96.0.10", annotations: tuple[tuple[str, str], ...] = ()) -> Service:
    return Service("default", name, (address,), (HTTP,), annotations)


def slice_of(name: str, *endpoints: Endpoint) -> EndpointSlice:
    return EndpointSlice(
        "default", f"{name}-x", name, Family.IPV4, (SlicePort("http", "TCP", 8080),), endpoints
    )


def table_of(services: tuple[Service, ...], slices: tuple[EndpointSlice, ...] = ()) -> ServiceTable:
    table = ServiceTable()
    table.apply(Changes("services", services, listed=True))
    table.apply(Changes("endpointslices", slices, listed=True))
    return table


def applied(
    table: ServiceTable, capture: str = "redirect", no_endpoints: NoEndpoints = NoEndpoints.DROP
) -> tuple[Running, dict[ListenerSpec, Address]]:
    """Plan everything and pretend that each listener that asked for any port got one from 40000 on."""
    running = Running()
    settings = PlanSettings(capture, "169.254.77.1", "", no_endpoints)
    steps = plan(running, table.take(), settings, Host())
    running.record(steps)
    return running, {
        spec: (spec.address, spec.port or 40000 + n) for n, spec in enumerate(sorted(steps.open))
    }


def one_view(table: ServiceTable, running: Running, bound: dict[ListenerSpec, Address]) -> ServiceView:
    (view,) = service_views(table, running, {}, bound)
    return view


def test_a_served_service_shows_frontend_listener_and_endpoints_in_use() -> None:
    endpoints = (
        Endpoint("10.1.0.1", node="a"),
        Endpoint("10.1.0.2", ready=False),
        Endpoint("10.1.0.3", ready=False, serving=True, terminating=True),
    )
    table = table_of((service("web"),), (slice_of("web", *endpoints),))
    running, bound = applied(table)
    key = PortKey(ServicePortName("default", "web", "http", "TCP"), Family.IPV4)
    counters = {key: PortCounters(accepted=7, active=2)}
    (view,) = service_views(table, running, counters, bound)
    (port,) = view.ports
    assert (view.namespace, view.name, view.warnings) == ("default", "web", ())
    assert (port.port, port.protocol, port.ip_family, port.cluster_ip, port.number) == (
        "http",
        "TCP",
        "IPv4",
        "10.96.0.10",
        80,
    )
    assert port.verdict is Verdict.CARRY
    (frontend,) = port.frontends
    assert (frontend.address, frontend.port, frontend.listener) == ("10.96.0.10", 80, "169.254.77.1:40000")
    (listener,) = port.listeners
    assert (listener.address, listener.port, listener.open, listener.captured_only) == (
        "169.254.77.1",
        40000,
        True,
        True,
    )
    assert [(one.address, one.in_use) for one in port.endpoints] == [
        ("10.1.0.1", True),
        ("10.1.0.2", False),
        ("10.1.0.3", False),
    ]
    assert [(one.node, one.ready, one.serving, one.terminating) for one in port.endpoints] == [
        ("a", True, True, False),
        ("", False, True, False),
        ("", False, True, True),
    ]
    assert (port.counters.accepted, port.counters.active) == (7, 2)
    assert port.warnings == ()


def test_terminating_endpoints_show_as_in_use_when_they_are_the_fallback() -> None:
    ending = Endpoint("10.1.0.3", ready=False, serving=True, terminating=True)
    table = table_of((service("web"),), (slice_of("web", ending),))
    (port,) = one_view(table, *applied(table)).ports
    assert [(one.address, one.in_use) for one in port.endpoints] == [("10.1.0.3", True)]


def test_a_service_not_planned_yet_has_no_verdict() -> None:
    table = table_of((service("web"),))
    (port,) = one_view(table, Running(), {}).ports
    assert port.verdict is None
    assert (port.frontends, port.listeners, port.endpoints, port.warnings) == ((), (), (), ())
    assert port.counters == PortCounters()


def test_a_listener_that_is_not_open_is_named() -> None:
    table = table_of((service("web"),), (slice_of("web", Endpoint("10.1.0.1")),))
    running, _ = applied(table, "route")
    (port,) = one_view(table, running, {}).ports
    assert port.warnings == ("the listener on 10.96.0.10:80 is not open",)
    assert port.frontends[0].listener == ""
    assert (port.listeners[0].port, port.listeners[0].open) == (80, False)


def test_a_closed_listener_is_expected_while_rejecting() -> None:
    table = table_of((service("web"),))
    running, _ = applied(table, "route", NoEndpoints.REJECT)
    (port,) = one_view(table, running, {}).ports
    assert port.verdict is Verdict.REJECT
    assert port.warnings == ()


def test_a_frontend_held_by_another_service_is_named() -> None:
    table = table_of((service("first", "10.96.0.10"), service("second", "10.96.0.10")))
    running, bound = applied(table)
    first, second = service_views(table, running, {}, bound)
    assert first.ports[0].warnings == ()
    assert second.ports[0].warnings == (
        "10.96.0.10:80 belongs to default/first:http; it is served when that one lets go",
    )
    running.owners.clear()
    _, second = service_views(table, running, {}, bound)
    assert second.ports[0].warnings[0].startswith("10.96.0.10:80 belongs to another Service")


def test_bad_annotations_are_warnings_of_the_service() -> None:
    table = table_of((service("web", annotations=(("userproxy.dev/no-endpoints", "explode"),)),))
    view = one_view(table, *applied(table))
    assert view.warnings == table.warnings(service("web").key)
    assert "explode" in view.warnings[0]


def test_a_service_removed_while_views_are_read_does_not_disturb_the_rest() -> None:
    table = table_of((service("a"), service("b", "10.96.0.11"), service("c", "10.96.0.12")))
    running, bound = applied(table)
    views = service_views(table, running, {}, bound)
    assert next(views).name == "a"
    table.apply(Changes("services", removed=(service("b").key,)))
    assert [(view.name, len(view.ports)) for view in views] == [("b", 0), ("c", 1)]


def test_watch_view_has_the_age_of_the_last_event() -> None:
    state = WatchState("services", True, True, 100.0, 3, (("410", 2),), 1, 4, "gone")
    view = watch_view(state, 112.3456)
    assert view.last_event_age == 12.346
    assert (view.resource, view.listed, view.connected, view.objects) == ("services", True, True, 3)
    assert (view.restarts, view.relists, view.decode_errors, view.last_error) == ({"410": 2}, 1, 4, "gone")
    assert watch_view(msgspec.structs.replace(state, last_event=None), 1.0).last_event_age is None


def test_connection_totals() -> None:
    ports = [PortCounters(accepted=5, active=1, carried=3, failed=2), PortCounters(accepted=7, carried=7)]
    assert connection_totals(ports) == ConnectionTotals(active=1, accepted=12, carried=10, failed=2)
    assert connection_totals(()) == ConnectionTotals()


def test_the_view_decodes_its_own_json() -> None:
    table = table_of((service("web"),), (slice_of("web", Endpoint("10.1.0.1")),))
    moment = datetime(2026, 1, 2, 3, 4, 5, 678, tzinfo=UTC)
    view = StatusView(
        versions={"userproxy": "1"},
        started=moment,
        now=moment,
        healthy=True,
        node_eligible=True,
        ready=False,
        waiting_for=("listed: not yet",),
        capture=CaptureView("route", "", 3, (Probe("redirect", False, "nft is not installed"),)),
        watches=(watch_view(WatchState("nodes", False, False, None, 0, (), 0, 0, ""), 1.0),),
        connections=ConnectionTotals(1, 2, 3, 4),
        warnings=("out of descriptors",),
        services=(one_view(table, *applied(table)),),
    )
    assert msgspec.json.decode(msgspec.json.encode(view), type=StatusView) == view
