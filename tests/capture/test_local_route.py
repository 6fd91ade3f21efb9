"""The route capture: what is its own alone. What all ways share is in test_carrying and test_repair."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest
import pytest_asyncio

from tests.capture.carry import ADDRESS, FAMILIES, NODE, carried, listener_for, make, many, repaired
from tests.netns import Network, needs_netns, node_with_pods
from userproxy.capture.local_route import probe
from userproxy.errors import CaptureError
from userproxy.model import CaptureEntry, Family, Frontend, Probe

pytestmark = [pytest.mark.netns, needs_netns]


@pytest_asyncio.fixture
async def net() -> AsyncIterator[Network]:
    with node_with_pods(numbered=False) as made, made.node.entered():
        yield made


async def test_ports_of_one_address_share_a_route(net: Network) -> None:
    capture = make("route")
    await capture.setup()
    http, https = (
        CaptureEntry(Frontend("10.96.0.1", port, "TCP"), ("10.96.0.1", port)) for port in (80, 443)
    )
    await capture.change([http, https], [])
    assert net.node.run("ip", "route", "show", "table", "local", "proto", "77").count("\n") == 1
    await capture.change([], [http])
    assert "10.96.0.1" in net.node.run("ip", "route", "show", "table", "local", "proto", "77")
    await capture.change([], [https])
    assert net.node.run("ip", "route", "show", "table", "local", "proto", "77") == ""
    await capture.teardown()


async def test_routes_of_a_killed_run_stay_until_repair_and_are_no_damage_then(net: Network) -> None:
    crashed = make("route")
    await crashed.setup()
    entries = many(3, ("10.100.0.0", 80))
    await crashed.change(entries, [])
    capture = make("route")
    await capture.setup()
    assert net.node.run("ip", "route", "show", "table", "local", "proto", "77").count("\n") == 3
    await capture.change(entries[:1], [])
    assert await capture.repair(entries[:1]) is False
    assert net.node.run("ip", "route", "show", "table", "local", "proto", "77").count("\n") == 1
    await capture.teardown()


async def test_a_route_that_is_refused_does_not_stop_the_others(net: Network) -> None:
    capture = make("route")
    await capture.setup()
    net.node.run("ip", "link", "set", "lo", "down")
    with listener_for(capture) as (entry, listener), listener_for(capture, Family.IPV6) as (six, listener6):
        with pytest.raises(CaptureError, match="Network is down"):
            await capture.change([six, entry], [])
        carried(net.pod, entry, listener)
        net.node.run("ip", "link", "set", "lo", "up")
        await capture.repair([six, entry])
        carried(net.pod, six, listener6)
        assert await capture.repair([six, entry]) is False
    await capture.teardown()


@pytest.mark.parametrize(
    "damage",
    [
        "route flush table local proto 77",
        f"route del local {ADDRESS[Family.IPV4]} dev lo table local",
        f"-6 route del local {ADDRESS[Family.IPV6]} dev lo table local",
        "route add local 10.1.1.1 dev lo proto 77",
    ],
)
async def test_local_routes(net: Network, damage: str) -> None:
    await repaired(net, "route", ("ip", *damage.split()))


async def test_its_probe(net: Network) -> None:
    before = net.node.state()
    assert await probe(NODE, FAMILIES) == Probe(
        "route", usable=True, reason="a test connection reached a listener behind a local route"
    )
    assert net.node.state() == before
