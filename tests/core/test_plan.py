"""Plans: what each capture mode opens, who owns a frontend, what a change costs, and any sequence of changes."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec import structs

from tests.build import endpoint_slice, key, name, service, services, serving_of, slices
from userproxy.api_objects import Changes, Service, ServiceSpecPort
from userproxy.core.plan import Plan, Running, plan
from userproxy.core.plan_settings import PlanSettings
from userproxy.core.policy import Verdict
from userproxy.core.table import ServiceTable
from userproxy.model import Endpoint, Family, Frontend, FrontendKind, Host, ListenerSpec, NoEndpoints, Scope


def settings(
    capture: str = "redirect",
    no_endpoints: NoEndpoints = NoEndpoints.DROP,
    ipv6: str = "fd77::1",
    first_port: int = 0,
) -> PlanSettings:
    return PlanSettings(capture, "169.254.77.1", ipv6, no_endpoints, first_port)


class Node:
    """A table and what runs, driven as the reconcile loop drives them."""

    def __init__(self, using: PlanSettings | None = None) -> None:
        self.table = ServiceTable()
        self.running = Running()
        self.host = Host("n1", addresses=("127.0.0.1", "192.168.1.5"))
        self.settings = using or settings()

    def step(self, *batches: Changes, failing: str = "") -> Plan:
        """Apply batches, plan, record; listeners of the Service `failing` do not open."""
        for batch in batches:
            self.table.apply(batch)
        made = plan(self.running, self.table.take(), self.settings, self.host)
        failed = [spec for spec in made.open if failing and spec.key.name.name == failing]
        self.table.touch(self.running.record(made, failed))
        return made


def frontend(address: str, port: int = 80, kind: FrontendKind = FrontendKind.CLUSTER_IP) -> Frontend:
    return Frontend(address, port, "TCP", kind)


WEB = services(service("web", "10.96.0.10"))
WEB_UP = slices(endpoint_slice("web-1", "web", "10.0.0.1", "10.0.0.2"))


def test_redirect_opens_one_listener_on_the_proxy_address() -> None:
    made = Node().step(WEB, WEB_UP)
    spec = ListenerSpec(key("web"), "169.254.77.1", 0, captured_only=True)
    assert made.open == (spec,)
    assert made.capture == ((frontend("10.96.0.10"), spec),)
    assert made.serve == (serving_of(key("web"), (("10.0.0.1", 8080), ("10.0.0.2", 8080)), Verdict.CARRY),)
    assert not made.empty


def test_route_listens_on_the_cluster_ip() -> None:
    made = Node(settings("route")).step(WEB)
    assert made.open == (ListenerSpec(key("web"), "10.96.0.10", 80, captured_only=False),)
    assert [one for one, _ in made.capture] == [frontend("10.96.0.10")]


def test_none_listens_on_the_proxy_address_without_frontends() -> None:
    made = Node(settings("none")).step(WEB)
    assert made.open == (ListenerSpec(key("web"), "169.254.77.1", 0, captured_only=False),)
    assert made.capture == ()


def test_ipv6_is_left_out_where_the_host_has_none() -> None:
    dual = services(service("web", "10.96.0.10", "fd00::10"))
    assert [spec.address for spec in Node().step(dual).open] == ["169.254.77.1", "fd77::1"]
    assert [spec.address for spec in Node(settings(ipv6="")).step(dual).open] == ["169.254.77.1"]


def test_loopback_gives_each_service_an_address() -> None:
    node = Node(settings("loopback", first_port=1024))
    made = node.step(services(service("web", ports={"http": 80, "admin": 9000}), service("db", "10.96.0.11")))
    by_port = {str(spec.key): (spec.address, spec.port) for spec in made.open}
    assert by_port["default/web:http"][0] == by_port["default/web:admin"][0] != by_port["default/db"][0]
    assert by_port["default/web:http"][1] == 8080
    assert by_port["default/web:admin"][1] == 9000
    again = node.step(services(service("web", ports={"http": 80, "admin": 9000, "more": 9001})))
    assert [spec.address for spec in again.open] == [by_port["default/web:http"][0]]
    node.step(services(removed=("web",)))
    assert set(node.running.loopback) == {name("db")}
    assert set(node.running.loopback_taken.values()) == {name("db")}


def test_loopback_uses_a_cluster_ip_that_is_one() -> None:
    made = Node(settings("loopback")).step(services(service("web", "127.96.0.10")))
    assert [(spec.address, spec.port) for spec in made.open] == [("127.96.0.10", 80)]


def test_loopback_offers_a_dual_stack_service_once_and_an_ipv6_one_too() -> None:
    dual = Node(settings("loopback")).step(services(service("web", "10.96.0.10", "fd00::10")))
    assert [spec.key.family for spec in dual.open] == [Family.IPV4]
    single = Node(settings("loopback")).step(services(service("web", "fd00::10")))
    assert [(spec.key.family, spec.address[:4]) for spec in single.open] == [
        (Family.IPV6, single.open[0].address[:4])
    ]
    assert single.open[0].address.startswith("127.")


def test_loopback_addresses_that_collide_in_one_plan_or_over_time(monkeypatch: object) -> None:
    many = [service(f"s{number}", "10.96.0.10") for number in range(300)]
    node = Node(settings("loopback"))
    made = node.step(services(*many))
    assert len({spec.address for spec in made.open}) == 300
    assert len(node.running.loopback_taken) == 300


def test_verdicts_without_usable_endpoints() -> None:
    assert Node().step(WEB).serve == (serving_of(key("web"), (), Verdict.DROP),)
    assert Node(settings(no_endpoints=NoEndpoints.REJECT)).step(WEB).serve[0].verdict is Verdict.REJECT
    own = services(service("web", no_endpoints="reject"))
    assert Node().step(own).serve[0].verdict is Verdict.REJECT


def test_an_endpoint_change_touches_no_listener_and_no_rule() -> None:
    node = Node()
    node.step(WEB, WEB_UP)
    made = node.step(slices(endpoint_slice("web-1", "web", "10.0.0.2")))
    assert made.serve == (serving_of(key("web"), (("10.0.0.2", 8080),), Verdict.CARRY),)
    assert (made.open, made.capture, made.release, made.close) == ((), (), (), ())


def test_rows_1_2_14_and_1_3_11_an_unrelated_change_is_an_empty_plan() -> None:
    node = Node()
    node.step(WEB, WEB_UP)
    assert node.step(slices(endpoint_slice("other", "nobody", "10.0.0.7"))).empty
    assert node.step(WEB).empty


def test_a_service_that_is_gone_is_released_and_closed() -> None:
    node = Node()
    opened = node.step(WEB, WEB_UP).open
    made = node.step(services(removed=("web",)))
    assert made.release == (frontend("10.96.0.10"),)
    assert made.close == opened
    assert made.forget == (key("web"),)
    assert node.running.ports == {}
    assert node.running.of_service == {}
    assert node.running.owners == {}


def test_a_port_that_is_gone_leaves_the_others() -> None:
    node = Node()
    node.step(services(service("web", ports={"a": 80, "b": 81})))
    made = node.step(services(service("web", ports={"b": 81})))
    assert made.forget == (key("web", "a"),)
    assert made.release == (frontend("10.96.0.10", 80),)
    assert made.open == ()
    assert node.running.of_service == {name("web"): {key("web", "b")}}


def test_a_new_cluster_ip_keeps_the_redirect_listener() -> None:
    node = Node()
    node.step(WEB)
    made = node.step(services(service("web", "10.96.0.99")))
    assert (made.open, made.close) == ((), ())
    assert made.release == (frontend("10.96.0.10"),)
    assert [one for one, _ in made.capture] == [frontend("10.96.0.99")]


def test_a_new_cluster_ip_needs_a_new_route_listener() -> None:
    node = Node(settings("route"))
    old = node.step(WEB).open
    made = node.step(services(service("web", "10.96.0.99")))
    assert made.close == old
    assert [spec.address for spec in made.open] == ["10.96.0.99"]


def test_a_contended_frontend_stays_with_its_owner_until_that_lets_go() -> None:
    node = Node()
    node.step(WEB)
    made = node.step(services(service("late", "10.96.0.10")))
    assert made.contended == ((frontend("10.96.0.10"), key("web"), key("late")),)
    assert made.open == ()
    assert node.table.touched == 0
    node.step(services(removed=("web",)))
    assert node.table.touched == 1
    made = node.step()
    assert [one for one, _ in made.capture] == [frontend("10.96.0.10")]
    assert node.running.owners == {frontend("10.96.0.10"): key("late")}


def test_a_frontend_handed_over_in_one_batch_comes_with_the_next_plan() -> None:
    node = Node()
    node.step(services(service("web", ports={"old": 80})))
    made = node.step(services(service("web", ports={"new": 80})))
    assert made.release == (frontend("10.96.0.10"),)
    assert made.capture == ()
    assert node.table.touched == 1
    assert [one for one, _ in node.step().capture] == [frontend("10.96.0.10")]


def test_a_listener_that_failed_is_planned_again() -> None:
    node = Node()
    first = node.step(WEB, failing="web")
    assert node.running.owners == {}
    node.table.touch([name("web")])
    again = node.step()
    assert again.open == first.open
    assert again.capture == first.capture
    assert node.running.owners == {frontend("10.96.0.10"): key("web")}


def wanted_frontends(node: Node) -> set[tuple[str, int]]:
    """Every address and port that the table's Services are reached at, by any of them."""
    ports = [port for one in node.table.services() for port in node.table.service_ports(one)]
    found = {(port.cluster_ip, port.port) for port in ports}
    for port in ports:
        exposure = port.exposure
        found |= {(address, port.port) for address in exposure.external_ips + exposure.load_balancer_ips}
        if exposure.node_port:
            found |= {(address, exposure.node_port) for address in node.host.addresses}
    return found


STEPS = st.lists(
    st.tuples(
        st.integers(0, 3),
        st.one_of(
            st.none(),
            st.tuples(
                st.sampled_from(["10.96.0.1", "10.96.0.2", "10.96.0.3"]),
                st.lists(st.sampled_from([80, 81, 82]), unique=True, max_size=2),
                st.sampled_from([(), ("192.0.2.1",), ("192.0.2.1", "10.96.0.2")]),
                st.sampled_from([(), ("192.0.2.1",), ("198.51.100.1",)]),
                st.sampled_from([0, 30080, 30081]),
            ),
        ),
        st.booleans(),
    ),
    max_size=20,
)


@given(STEPS, st.sampled_from(["redirect", "route", "loopback", "none"]))
def test_what_runs_equals_what_the_snapshot_wants_after_any_sequence(steps: list, mode: str) -> None:
    node = Node(settings(mode))
    listeners: dict[ListenerSpec, None] = {}
    captured: dict[Frontend, ListenerSpec] = {}

    def follow(made: Plan) -> None:
        for spec in made.open:
            assert spec not in listeners
            listeners[spec] = None
        for one in made.release:
            del captured[one]
        for one, spec in made.capture:
            assert one not in captured
            captured[one] = spec
        for spec in made.close:
            del listeners[spec]

    for number, wanted, failing in steps:
        text = f"s{number}"
        if wanted is None:
            batch = services(removed=(text,))
        else:
            address, numbers, external_ips, load_balancer_ips, node_port = wanted
            ports = tuple(ServiceSpecPort(f"p{n}", "TCP", n, node_port) for n in numbers)
            one = structs.replace(service(text, address), ports=ports, external_ips=external_ips)
            batch = services(structs.replace(one, load_balancer_ips=load_balancer_ips))
        made = node.step(batch, failing=text if failing else "")
        lost = {spec for spec in made.open if failing and spec.key.name.name == text}
        follow(
            Plan(
                open=tuple(spec for spec in made.open if spec not in lost),
                capture=tuple((one, spec) for one, spec in made.capture if spec not in lost),
                release=made.release,
                close=made.close,
            )
        )
        if failing:
            node.table.touch([name(text)])
        for _ in range(4):
            follow(node.step())
    assert set(listeners) == {spec for port in node.running.ports.values() for spec, _ in port.listeners}
    assert captured == {
        one: spec for port in node.running.ports.values() for one, spec in port.frontends().items()
    }
    assert set(node.running.owners) == set(captured)
    if mode in ("redirect", "route"):
        assert {(one.address, one.port) for one in captured} == wanted_frontends(node)


def exposed(**fields: Any) -> Service:
    return structs.replace(
        service("web"), ports=(ServiceSpecPort("", "TCP", 80, fields.pop("node_port", 0)),), **fields
    )


def test_external_and_load_balancer_addresses_have_listeners_of_their_own() -> None:
    node = Node()
    web = exposed(
        external_ips=("192.0.2.1", "192.0.2.2", "fd00::9"), load_balancer_ips=("192.0.2.2", "192.0.2.3")
    )
    made = node.step(services(web), slices(endpoint_slice("web-1", "web", "10.0.0.1")))
    assert {(spec.scope, spec.address, spec.port, spec.captured_only) for spec in made.open} == {
        (scope, "169.254.77.1", 0, True) for scope in Scope
    }
    assert {(frontend.address, frontend.kind, spec.scope) for frontend, spec in made.capture} == {
        ("10.96.0.10", FrontendKind.CLUSTER_IP, Scope.INTERNAL),
        ("192.0.2.2", FrontendKind.LOAD_BALANCER, Scope.LOAD_BALANCER),
        ("192.0.2.3", FrontendKind.LOAD_BALANCER, Scope.LOAD_BALANCER),
        ("192.0.2.1", FrontendKind.EXTERNAL_IP, Scope.EXTERNAL),
    }


@pytest.mark.parametrize("capture", ["redirect", "route", "loopback", "none"])
def test_node_ports_are_bound_to_the_hosts_addresses(capture: str) -> None:
    node = Node(settings(capture))
    made = node.step(services(exposed(node_port=30080)), slices())
    bound = [spec for spec in made.open if spec.scope is Scope.EXTERNAL]
    assert [(spec.address, spec.port, spec.captured_only) for spec in bound] == [
        ("127.0.0.1", 30080, False),
        ("192.168.1.5", 30080, False),
    ]
    node.host = structs.replace(node.host, addresses=("192.168.1.6",))
    node.table.touch_host_dependent()
    moved = node.step()
    assert [spec.address for spec in moved.open] == ["192.168.1.6"]
    assert moved.close == tuple(bound)
    assert node.step(services(exposed())).close == moved.open


def test_two_services_cannot_have_one_node_port() -> None:
    node = Node()
    other = structs.replace(exposed(node_port=30080), name="other", cluster_ips=("10.96.0.11",))
    made = node.step(services(exposed(node_port=30080), other), slices())
    assert len([spec for spec in made.open if spec.scope is Scope.EXTERNAL]) == 2
    assert {(holder.name.name, waiter.name.name) for _, holder, waiter in made.contended} == {
        ("other", "web")
    }


def test_the_local_set_goes_with_the_serving_when_a_policy_asks_for_it() -> None:
    node = Node()
    here, there = Endpoint("10.0.0.1", node="n1"), Endpoint("10.0.0.2", node="n2")
    [serving] = node.step(
        services(exposed(internal_local=True)), slices(endpoint_slice("web-1", "web", here, there))
    ).serve
    assert (len(serving.cluster), serving.local) == (2, (("10.0.0.1", 8080),))
    assert serving.route(Scope.INTERNAL).local
    assert serving.route(Scope.LOAD_BALANCER) is serving.routes[0]


def test_everything_is_planned_again_when_our_place_in_the_cluster_changes() -> None:
    node = Node()
    hinted = [Endpoint("10.0.0.1", zones=("a",)), Endpoint("10.0.0.2", zones=("b",))]
    node.step(services(service("web")), slices(endpoint_slice("web-1", "web", *hinted)))
    node.host = structs.replace(node.host, zone="b")
    node.table.touch_all()
    assert [serving.cluster for serving in node.step().serve] == [(("10.0.0.2", 8080),)]


def test_a_health_check_port_is_planned_when_it_changes_and_forgotten_with_its_service() -> None:
    node = Node()
    web = exposed(health_check_node_port=32000)
    here = Endpoint("10.0.0.1", node="n1")
    made = node.step(services(web), slices(endpoint_slice("web-1", "web", here)))
    [(owner, [check])] = made.health_checks
    assert (owner, check.port, check.endpoints) == (name("web"), 32000, 1)
    assert node.step(services(web)).empty
    [(_, [check])] = node.step(slices(endpoint_slice("web-1", "web", family=Family.IPV4))).health_checks
    assert check.endpoints == 0
    assert node.step(services(removed=("web",))).health_checks == ((name("web"), ()),)
    assert node.running.health_checks == {}
