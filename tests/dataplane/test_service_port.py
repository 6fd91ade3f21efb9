"""A Service port of a worker: what it keeps of what the plan says, and when its listeners must look again."""

from __future__ import annotations

from tests.build import key, serving_of
from userproxy.core.affinity import AffinityRecords
from userproxy.core.policy import Verdict
from userproxy.dataplane.service_port import Port
from userproxy.model import Balance

KEY = key("web")
A, B, C, D = [(f"10.0.0.{n}", 80) for n in range(1, 5)]


def test_listeners_look_again_only_when_rings_or_routes_are_others() -> None:
    port = Port(KEY, AffinityRecords())
    assert port.take_over(serving_of(KEY, [A, B, C, D]), 0.5, list)
    assert [port.balancer.pick() for _ in range(3)] == [C, D, A]
    assert not port.take_over(serving_of(KEY, [A, B]), 0.5, list)
    assert port.take_over(serving_of(KEY, [A, B], Verdict.DROP), 0.0, list)
    assert port.take_over(serving_of(KEY, [A, B], Verdict.DROP, balance=Balance.SOURCE_HASH), 0.0, list)


def test_outcomes_are_told_only_where_somebody_asks() -> None:
    port = Port(KEY, AffinityRecords())
    port.take_over(serving_of(KEY, [A, B]), 0.0, list)
    assert port.outcomes is None
    port.take_over(serving_of(KEY, [A, B], balance=Balance.LEAST_CONNECTIONS), 0.0, lambda: [A])
    assert port.outcomes is port.balancing
    assert port.balancer.pick() == B


def test_options_and_the_endpoints_that_keep_flows() -> None:
    port = Port(KEY, AffinityRecords())
    serving = serving_of(KEY, [A], max_connections=2, drain_seconds=7, proxy_protocol=1)
    port.take_over(serving, 0.0, list)
    assert (port.drain_seconds, port.proxy_protocol, port.generation) == (7, 1, 1)
    for active, full in ((1, False), (2, True)):
        port.counters.active = active
        assert port.full() is full


def test_only_flows_ask_which_endpoints_keep_them() -> None:
    udp = key("dns", protocol="UDP")
    port = Port(udp, AffinityRecords())
    port.take_over(serving_of(udp, [A]), 0.0, list)
    assert port.lasting == {A}
