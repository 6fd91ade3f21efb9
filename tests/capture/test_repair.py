"""What other tools destroy is noticed and written anew; what they do elsewhere is left alone and no reason to write."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest
import pytest_asyncio

from tests.capture.carry import (
    ADDRESS,
    FAMILIES,
    REDIRECTS,
    WAYS,
    carried,
    is_carried,
    listener_for,
    make,
    many,
    repaired,
)
from tests.netns import Network, needs_netns, needs_programs, node_with_pods
from userproxy.errors import CaptureError
from userproxy.model import CaptureEntry, Family, Frontend

pytestmark = [pytest.mark.netns, needs_netns, needs_programs("nft", "iptables-nft", "iptables-legacy")]


@pytest_asyncio.fixture
async def net() -> AsyncIterator[Network]:
    with node_with_pods(numbered=False) as made, made.node.entered():
        yield made


@pytest.mark.parametrize("way", ["nft", "iptables-nft"])
async def test_flush_ruleset(net: Network, way: str) -> None:
    await repaired(net, way, ("nft", "flush", "ruleset"))


@pytest.mark.parametrize("way", REDIRECTS)
@pytest.mark.parametrize("address", ["169.254.77.1/32", "fd77:7573:6572::1/128"])
async def test_the_proxy_address(net: Network, way: str, address: str) -> None:
    await repaired(net, way, ("ip", "addr", "del", address, "dev", "lo"))


@pytest.mark.parametrize("way", WAYS)
async def test_what_others_do_is_no_reason_to_write(net: Network, way: str) -> None:
    capture = make(way)
    await capture.setup()
    with listener_for(capture) as (entry, _):
        await capture.change([entry], [])
        assert await capture.repair([entry]) is False
        net.node.run("nft", "add table inet other; add chain inet other userproxy; add table arp userproxy")
        for program in ("iptables-nft", "iptables-legacy"):
            net.node.run(program, "-t", "nat", "-A", "OUTPUT", "-p", "udp", "-j", "ACCEPT")
        net.node.run("ip", "route", "add", "10.99.0.0/16", "dev", "pod0", "proto", "77")
        net.node.run("ip", "addr", "add", "10.98.0.1/32", "dev", "lo")
        assert await capture.repair([entry]) is False
        for table in ("inet other", "arp userproxy"):
            assert table in net.node.run("nft", "list", "tables")
        assert "10.99.0.0/16" in net.node.run("ip", "route")
    await capture.teardown()


@pytest.mark.parametrize("way", WAYS)
async def test_repair_installs_what_no_change_brought(net: Network, way: str) -> None:
    capture = make(way)
    await capture.setup()
    for family in FAMILIES:
        with listener_for(capture, family) as (entry, listener):
            await capture.repair([entry])
            carried(net.pod, entry, listener)
            assert await capture.repair([entry]) is False
            await capture.repair([])
            assert not is_carried(net.pod, entry, listener)
    await capture.teardown()


@pytest.mark.parametrize("way", REDIRECTS)
async def test_a_refused_change_is_an_error_and_repair_puts_it_right(net: Network, way: str) -> None:
    capture = make(way)
    await capture.setup()
    with listener_for(capture) as (entry, listener):
        await capture.change(many(3, entry.listener), [])
        stranger = CaptureEntry(Frontend("10.1.1.1", 80, "TCP"), entry.listener)
        with pytest.raises(CaptureError, match=way.split("-")[0]):
            await capture.change([entry], [stranger])
        assert not is_carried(net.pod, entry, listener)
        wanted = [entry, *many(3, entry.listener)]
        await capture.repair(wanted)
        carried(net.pod, entry, listener)
        assert await capture.repair(wanted) is False
    await capture.teardown()


@pytest.mark.parametrize("way", WAYS)
async def test_an_address_that_is_local_already_stays_so(net: Network, way: str) -> None:
    net.node.run("ip", "addr", "add", f"{ADDRESS[Family.IPV4]}/32", "dev", "uplink0")
    capture = make(way)
    await capture.setup()
    with listener_for(capture) as (entry, listener):
        await capture.change([entry], [])
        carried(net.pod, entry, listener)
        assert await capture.repair([entry]) is False
        net.node.run("ip", "link", "set", "lo", "mtu", "60000")
        assert await capture.repair([entry]) is False
        await capture.change([], [entry])
    await capture.teardown()
    assert f"local {ADDRESS[Family.IPV4]} dev uplink0" in net.node.run(
        "ip", "route", "show", "table", "local"
    )


@pytest.mark.parametrize("way", WAYS)
async def test_setup_takes_over_from_a_run_that_was_killed(net: Network, way: str) -> None:
    for earlier in WAYS:
        crashed = make(earlier)
        await crashed.setup()
        await crashed.change(many(3, ("169.254.77.1", 9)), [])
    capture = make(way)
    await capture.setup()
    with listener_for(capture) as (entry, listener):
        await capture.change([entry], [])
        await capture.repair([entry])
        carried(net.pod, entry, listener)
        carried(net.node, entry, listener)
        stale = CaptureEntry(Frontend("10.100.0.1", 80, "TCP"), entry.listener)
        assert not is_carried(net.pod, stale, listener)
        everything = "".join(net.node.state().values()) + net.node.run("iptables-legacy-save")
        assert "10.100.0." not in everything
        assert ("table ip userproxy" in everything) == (way == "nft")
    await capture.teardown()
