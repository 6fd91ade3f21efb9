"""Ready first, then serving while terminating; hints all or nothing; the local set for itself (rows 1.4.4 to 1.4.15)."""

from __future__ import annotations

import itertools

import pytest

from userproxy.core.topology import cluster_set, local_set, topology_mode
from userproxy.model import Endpoint

READY = Endpoint("10.0.0.1", 80)
OTHER = Endpoint("10.0.0.2", 80)
UNREADY = Endpoint("10.0.0.3", 80, ready=False)
TERMINATING = Endpoint("10.0.0.4", 80, ready=False, serving=True, terminating=True)
GONE = Endpoint("10.0.0.5", 80, ready=False, serving=False, terminating=True)


def at(address: str, node: str = "", zones: tuple[str, ...] = (), nodes: tuple[str, ...] = ()) -> Endpoint:
    return Endpoint(address, 80, node=node, zones=zones, nodes=nodes)


def test_ready_endpoints_are_used_in_the_order_given() -> None:
    assert cluster_set([OTHER, TERMINATING, READY]) == (OTHER, READY)


def test_serving_terminating_endpoints_stand_in_only_when_none_is_ready() -> None:
    assert cluster_set([UNREADY, TERMINATING, GONE]) == (TERMINATING,)


def test_neither_ready_nor_serving_is_never_used() -> None:
    assert cluster_set([UNREADY, GONE]) == ()


def test_nothing_else_is_ever_returned() -> None:
    for ready, serving, terminating in itertools.product((True, False), repeat=3):
        endpoint = Endpoint("10.0.0.1", 80, ready, serving, terminating, node="n1")
        allowed = ready or (serving and terminating)
        assert cluster_set([endpoint]) == ((endpoint,) if allowed else ())
        assert local_set([endpoint], "n1") == ((endpoint,) if allowed else ())


def test_the_local_set_has_tiers_of_its_own() -> None:
    here = Endpoint("10.0.0.4", 80, ready=False, serving=True, terminating=True, node="n1")
    there = Endpoint("10.0.0.1", 80, node="n2")
    assert local_set([there, here], "n1") == (here,)
    assert cluster_set([there, here], "n1") == (there,)


def test_an_endpoint_without_a_node_is_remote_even_where_our_name_is_not_known() -> None:
    assert local_set([READY], "") == ()


ZONED = (at("10.0.0.1", zones=("a",)), at("10.0.0.2", zones=("a", "b")), at("10.0.0.3", zones=("c",)))
NODED = (at("10.0.0.1", zones=("a",), nodes=("n1",)), at("10.0.0.2", zones=("a",), nodes=("n2",)))


@pytest.mark.parametrize(
    ("endpoints", "node", "zone", "mode", "used"),
    [
        (ZONED, "n1", "a", "zone", ["10.0.0.1", "10.0.0.2"]),
        (ZONED, "n1", "b", "zone", ["10.0.0.2"]),
        (ZONED, "n1", "d", "all", ["10.0.0.1", "10.0.0.2", "10.0.0.3"]),
        (ZONED, "n1", "", "all", ["10.0.0.1", "10.0.0.2", "10.0.0.3"]),
        ((*ZONED, at("10.0.0.4")), "n1", "a", "all", ["10.0.0.1", "10.0.0.2", "10.0.0.3", "10.0.0.4"]),
        (NODED, "n2", "a", "node", ["10.0.0.2"]),
        (NODED, "n3", "a", "zone", ["10.0.0.1", "10.0.0.2"]),
        (NODED, "n3", "b", "all", ["10.0.0.1", "10.0.0.2"]),
        ((*ZONED, UNREADY), "n1", "c", "zone", ["10.0.0.3"]),
        ((UNREADY, TERMINATING), "n1", "a", "all", ["10.0.0.4"]),
    ],
    ids=[
        "zone", "two-zones", "other-zone", "1.4.15", "one-unhinted", "node", "node-then-zone", "none", "unready-unhinted",
        "terminating-ignores-topology",
    ],
)  # fmt: skip
def test_hints(endpoints: tuple[Endpoint, ...], node: str, zone: str, mode: str, used: list[str]) -> None:
    ready = [endpoint for endpoint in endpoints if endpoint.ready]
    assert [endpoint.address for endpoint in cluster_set(endpoints, node, zone)] == used
    if ready:
        assert topology_mode(ready, node, zone) == mode
