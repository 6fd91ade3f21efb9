"""The proxy address, and routes of last resort: only where no route leads to a frontend, and gone when one does."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.netns import Network, needs_netns, node_with_pods
from userproxy.capture.reachability import Reachability, ensure_addresses, remove_addresses
from userproxy.errors import CaptureError

pytestmark = [pytest.mark.netns, needs_netns]

PROXY = ("169.254.77.1", "fd77:7573:6572::1")
VIPS = {"10.96.0.1", "10.96.0.2", "fd00:96::1"}


@pytest.fixture
def island() -> Iterator[Network]:
    """A node without a default route."""
    with node_with_pods(default_route=False) as made, made.node.entered():
        yield made


def last_resort(net: Network) -> set[str]:
    shown = net.node.run("ip", "route", "show", "table", "local", "proto", "77")
    shown += net.node.run("ip", "-6", "route", "show", "table", "local", "proto", "77")
    return {line.split()[1] for line in shown.splitlines()}


def test_no_route_is_added_where_a_default_route_is() -> None:
    with node_with_pods() as net, net.node.entered():
        reach = Reachability(PROXY)
        reach.setup()
        reach.add(VIPS)
        assert last_resort(net) == set()
        assert reach.repair(VIPS) is False
        assert last_resort(net) == set()
        reach.teardown()


def test_without_a_route_each_address_gets_one(island: Network) -> None:
    before = island.node.state()
    reach = Reachability(PROXY)
    reach.setup()
    reach.add(VIPS)
    assert last_resort(island) == VIPS
    reach.remove({"10.96.0.2"})
    assert last_resort(island) == VIPS - {"10.96.0.2"}
    reach.teardown()
    assert island.node.state() == before


def test_a_real_route_replaces_ours_and_ours_comes_back(island: Network) -> None:
    reach = Reachability(PROXY)
    reach.setup()
    reach.add(VIPS)
    island.node.run("ip", "route", "add", "10.96.0.0/31", "dev", "pod0")
    assert reach.repair(VIPS) is False, "a new route of others is no damage"
    assert last_resort(island) == VIPS - {"10.96.0.1"}
    island.node.run("ip", "route", "add", "default", "dev", "pod0")
    island.node.run("ip", "-6", "route", "add", "default", "dev", "pod0")
    reach.repair(VIPS)
    assert last_resort(island) == set()
    island.node.run("ip", "link", "set", "pod0", "down")
    reach.repair(VIPS)
    assert last_resort(island) == VIPS
    reach.teardown()


def test_routes_that_were_lost_or_left_over(island: Network) -> None:
    reach = Reachability(PROXY)
    reach.setup()
    reach.add(VIPS)
    assert reach.repair(VIPS) is False
    island.node.run("ip", "route", "flush", "table", "local", "proto", "77")
    assert reach.repair(VIPS) is True
    island.node.run("ip", "route", "add", "local", "10.1.1.1", "dev", "lo", "proto", "77")
    assert reach.repair(VIPS) is True
    assert last_resort(island) == VIPS
    assert reach.repair(VIPS) is False
    reach.teardown()


def test_addresses_that_repair_hears_of_first(island: Network) -> None:
    reach = Reachability(PROXY)
    reach.setup()
    reach.repair(set())
    reach.repair(VIPS)
    assert last_resort(island) == VIPS
    reach.repair({"10.96.0.1"})
    assert last_resort(island) == {"10.96.0.1"}
    reach.teardown()


def test_a_failed_addition_is_made_good_by_repair(island: Network) -> None:
    reach = Reachability(PROXY[:1])
    reach.setup()
    reach.repair(set())
    island.node.run("ip", "link", "set", "lo", "down")
    with pytest.raises(CaptureError, match="fd00:96::1: Network is down"):
        reach.add({"fd00:96::1"})
    island.node.run("ip", "link", "set", "lo", "up")
    reach.repair({"fd00:96::1"})
    assert last_resort(island) == {"fd00:96::1"}
    reach.teardown()


def test_setup_removes_routes_of_a_run_that_was_killed(island: Network) -> None:
    crashed = Reachability(PROXY)
    crashed.setup()
    crashed.add(VIPS)
    reach = Reachability(PROXY)
    reach.setup()
    assert last_resort(island) == set()
    reach.teardown()
    assert PROXY[0] not in island.node.run("ip", "addr")


def test_an_address_of_another_interface_is_used_and_left(island: Network) -> None:
    island.node.run("ip", "addr", "add", "169.254.77.1/32", "dev", "pod0")
    before = island.node.state()
    assert ensure_addresses(["169.254.77.1", "127.0.0.1", "::1"]) == []
    assert remove_addresses(["169.254.77.1", "127.0.0.1", "::1"]) == []
    assert island.node.state() == before


def test_addresses_that_were_added_are_told_once(island: Network) -> None:
    assert ensure_addresses(PROXY) == list(PROXY)
    assert ensure_addresses(PROXY) == []
    assert remove_addresses(PROXY) == list(PROXY)
    assert remove_addresses(PROXY) == []


def test_many_addresses_at_once_share_the_fate_of_a_default_route(island: Network) -> None:
    many = {f"10.96.{number >> 8}.{number & 255}" for number in range(1000)}
    reach = Reachability(PROXY)
    reach.setup()
    reach.add(many)
    assert last_resort(island) == many
    island.node.run("ip", "route", "add", "default", "dev", "pod0")
    reach.repair(many)
    assert last_resort(island) == set()
    island.node.run("ip", "route", "add", "unreachable", "10.96.0.0/12")
    reach.repair(many)
    assert last_resort(island) == many
    reach.teardown()
