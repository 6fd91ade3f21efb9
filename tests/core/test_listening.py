"""Listeners of one Service port by the way of capture."""

from __future__ import annotations

from typing import Any

from msgspec import structs

from tests.build import key
from userproxy.core.listening import listeners_at_frontends, listeners_at_proxy, node_port_listeners
from userproxy.core.plan_settings import PlanSettings
from userproxy.model import Exposure, Family, Host, ListenerSpec, NoEndpoints, Scope, ServicePort

SETTINGS = PlanSettings("redirect", "169.254.77.1", "", NoEndpoints.DROP)
HOST = Host("n1", addresses=("127.0.0.1", "192.168.1.5", "fd00::5"))


def port(family: Family = Family.IPV4, **exposure: Any) -> ServicePort:
    address = "fd00::10" if family is Family.IPV6 else "10.96.0.10"
    return ServicePort(key("web", family=family), address, 80, (), exposure=Exposure(**exposure))


def test_at_frontends_each_address_has_a_listener_of_its_own_scope() -> None:
    made = listeners_at_frontends(port(external_ips=("192.0.2.1",), load_balancer_ips=("192.0.2.2",)))
    assert {(spec.address, spec.port, spec.scope) for spec, _ in made} == {
        ("10.96.0.10", 80, Scope.INTERNAL),
        ("192.0.2.1", 80, Scope.EXTERNAL),
        ("192.0.2.2", 80, Scope.LOAD_BALANCER),
    }
    assert all([frontend.address for frontend in frontends] == [spec.address] for spec, frontends in made)


def test_at_the_proxy_each_scope_has_one_listener() -> None:
    made = listeners_at_proxy(port(external_ips=("192.0.2.1", "192.0.2.3")), SETTINGS)
    assert [(spec.scope, spec.captured_only, len(frontends)) for spec, frontends in made] == [
        (Scope.INTERNAL, True, 1),
        (Scope.EXTERNAL, True, 2),
    ]


def test_an_address_named_twice_is_answered_once() -> None:
    made = listeners_at_frontends(
        port(external_ips=("192.0.2.1",), load_balancer_ips=("192.0.2.1", "10.96.0.10"))
    )
    assert [(spec.address, spec.scope) for spec, _ in made] == [
        ("10.96.0.10", Scope.INTERNAL),
        ("192.0.2.1", Scope.LOAD_BALANCER),
    ]


def test_without_capture_nothing_is_brought_to_the_listener() -> None:
    made = listeners_at_proxy(port(external_ips=("192.0.2.1",)), structs.replace(SETTINGS, capture="none"))
    assert made == [(ListenerSpec(key("web"), "169.254.77.1", 0, captured_only=False), ())]


def test_a_host_without_ipv6_has_no_listener_for_it() -> None:
    assert listeners_at_proxy(port(Family.IPV6), SETTINGS) == []


def test_node_ports_listen_on_the_hosts_addresses_of_their_family() -> None:
    made = node_port_listeners(port(Family.IPV6, node_port=30080), SETTINGS, HOST)
    assert [(spec.address, spec.port, spec.captured_only) for spec, _ in made] == [("fd00::5", 30080, False)]
    assert node_port_listeners(port(), SETTINGS, HOST) == []


def test_a_sidecar_serves_no_node_port() -> None:
    sidecar = structs.replace(SETTINGS, node_ports=False)
    assert node_port_listeners(port(node_port=30080), sidecar, HOST) == []
