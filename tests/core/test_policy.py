"""The verdict matrix (reference section 1.0), traffic policies (1.6.x) and source ranges (1.7.x)."""

from __future__ import annotations

from typing import Any

import pytest

from tests.build import key
from userproxy.core.policy import Route, Verdict, needs_local_set, routes
from userproxy.model import Exposure, Family, Host, NoEndpoints, Scope, ServicePort

HOST = Host("n1", node_addresses=("10.1.0.5",), addresses=("127.0.0.1", "10.1.0.5", "fd00::5"))
PODS = ("10.244.0.0/16",)
LOCAL = [("10.244.1.1", 80)]
CLUSTER = [*LOCAL, ("10.244.2.1", 80)]
OWN = ("10.1.0.5/32", "10.244.0.0/16", "127.0.0.0/8")


def port(family: Family = Family.IPV4, **exposure: Any) -> ServicePort:
    return ServicePort(key("web", family=family), "10.96.0.1", 80, (), exposure=Exposure(**exposure))


def decided(
    one: ServicePort, cluster: Any = (), local: Any = (), none: NoEndpoints = NoEndpoints.REJECT
) -> dict[Scope, Route]:
    found = routes(one, HOST, PODS, none, cluster, local)
    assert found[0].scope is Scope.INTERNAL
    return {route.scope: route for route in found}


def test_only_the_scopes_in_use_have_a_route() -> None:
    assert set(decided(port())) == {Scope.INTERNAL}
    assert set(decided(port(node_port=30080))) == {Scope.INTERNAL, Scope.EXTERNAL}
    assert set(decided(port(external_ips=("192.0.2.1",)))) == {Scope.INTERNAL, Scope.EXTERNAL}
    assert set(decided(port(load_balancer_ips=("192.0.2.1",)))) == {Scope.INTERNAL, Scope.LOAD_BALANCER}


@pytest.mark.parametrize("none", list(NoEndpoints))
@pytest.mark.parametrize("local", [False, True])
def test_no_usable_endpoint_anywhere(none: NoEndpoints, local: bool) -> None:
    one = port(node_port=30080, load_balancer_ips=("192.0.2.1",), internal_local=local, external_local=local)
    assert {route.verdict for route in decided(one, none=none).values()} == {Verdict(none.value)}


def test_policy_cluster_carries_to_all() -> None:
    one = port(node_port=30080, load_balancer_ips=("192.0.2.1",))
    for route in decided(one, CLUSTER).values():
        assert (route.verdict, route.local, route.allowed) == (Verdict.CARRY, False, ())
    assert not needs_local_set(one)


def test_internal_policy_local_drops_without_a_local_endpoint_and_has_no_short_circuit() -> None:
    one = port(internal_local=True, node_port=30080)
    assert needs_local_set(one)
    assert decided(one, CLUSTER)[Scope.INTERNAL] == Route(Scope.INTERNAL, Verdict.DROP, local=True)
    assert decided(one, CLUSTER, LOCAL)[Scope.INTERNAL] == Route(Scope.INTERNAL, Verdict.CARRY, local=True)
    assert decided(one, CLUSTER)[Scope.EXTERNAL] == Route(Scope.EXTERNAL, Verdict.CARRY)


def test_external_policy_local_with_a_local_endpoint() -> None:
    route = decided(port(external_local=True, node_port=30080), CLUSTER, LOCAL)[Scope.EXTERNAL]
    assert route == Route(Scope.EXTERNAL, Verdict.CARRY, local=True, everywhere=OWN)


def test_external_policy_local_without_one_lets_only_pods_and_the_host_in() -> None:
    one = port(external_local=True, node_port=30080)
    route = decided(one, CLUSTER)[Scope.EXTERNAL]
    assert route == Route(Scope.EXTERNAL, Verdict.CARRY, local=True, everywhere=OWN, allowed=(OWN,))
    assert decided(one, CLUSTER)[Scope.INTERNAL] == Route(Scope.INTERNAL, Verdict.CARRY)


def test_the_families_short_circuits_are_their_own() -> None:
    one = port(Family.IPV6, external_local=True, node_port=30080, external_ips=("2001:db8::1",))
    route = decided(one, [("fd01::1", 80)])[Scope.EXTERNAL]
    assert route.everywhere == ("2001:db8::1/128", "::1/128", "fd00::5/128")


@pytest.mark.parametrize(
    ("ranges", "allowed"),
    [
        ((), ()),
        (("203.0.113.0/24",), (("203.0.113.0/24",),)),
        (("203.0.113.0/24", "0.0.0.0/0"), ()),
        (("10.1.0.0/16",), (("10.1.0.0/16", "192.0.2.1/32"),)),
    ],
    ids=["1.7.3", "1.7.2", "1.7.4", "1.7.5"],
)
def test_source_ranges(ranges: tuple[str, ...], allowed: Any) -> None:
    one = port(node_port=30080, load_balancer_ips=("192.0.2.1",), source_ranges=ranges)
    found = decided(one, CLUSTER)
    assert found[Scope.LOAD_BALANCER].allowed == allowed
    assert found[Scope.EXTERNAL].allowed == found[Scope.INTERNAL].allowed == ()


def test_source_ranges_stand_before_the_short_circuits() -> None:
    one = port(load_balancer_ips=("192.0.2.1",), source_ranges=("203.0.113.0/24",), external_local=True)
    route = decided(one, CLUSTER)[Scope.LOAD_BALANCER]
    assert route.allowed == (
        ("10.1.0.5/32", "10.244.0.0/16", "127.0.0.0/8", "192.0.2.1/32"),
        ("203.0.113.0/24",),
    )


def test_source_ranges_are_idle_while_nothing_is_carried() -> None:
    one = port(load_balancer_ips=("192.0.2.1",), source_ranges=("203.0.113.0/24",))
    assert decided(one)[Scope.LOAD_BALANCER] == Route(Scope.LOAD_BALANCER, Verdict.REJECT)
