"""Every way of capture carries connections of Pods and of the node, in every shape of node, for both families."""

from __future__ import annotations

import pytest

from tests.capture.carry import (
    ADDRESS,
    FAMILIES,
    NODE,
    REDIRECTS,
    SIDECAR,
    WAYS,
    answered,
    carried,
    is_carried,
    listener_for,
    make,
    many,
)
from tests.netns import Network, namespace, needs_netns, needs_programs, node_with_pods, pod_address
from userproxy.capture.cleanup import cleanup
from userproxy.model import CaptureEntry, Family

pytestmark = [pytest.mark.netns, needs_netns, needs_programs("nft", "iptables-nft", "iptables-legacy")]


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("numbered", [True, False], ids=["numbered", "unnumbered"])
@pytest.mark.parametrize("default_route", [True, False], ids=["default-route", "no-default-route"])
async def test_pod_and_node_reach_the_listener(way: str, *, numbered: bool, default_route: bool) -> None:
    with node_with_pods(numbered=numbered, default_route=default_route) as net, net.node.entered():
        capture = make(way)
        await capture.setup()
        for family in FAMILIES:
            with listener_for(capture, family) as (entry, listener):
                await capture.change([entry], [])
                seen = carried(net.pod, entry, listener)
                assert seen == pod_address(0, ipv6=family is Family.IPV6), "the client's address is kept"
                carried(net.node, entry, listener)
        await capture.teardown()


@pytest.mark.parametrize("way", WAYS)
async def test_a_sidecar_captures_what_its_own_namespace_sends(way: str) -> None:
    with node_with_pods() as net, net.pod.entered():
        capture = make(way, SIDECAR)
        await capture.setup()
        for family in FAMILIES:
            with listener_for(capture, family, settings=SIDECAR) as (entry, listener):
                await capture.change([entry], [])
                carried(net.pod, entry, listener)
        if way != "route":
            assert "169.254.77.1" not in net.pod.run("ip", "addr")
        await capture.teardown()


async def test_a_sidecar_without_any_network() -> None:
    with namespace() as alone, alone.entered():
        capture = make("nft", SIDECAR)
        await capture.setup()
        for family in FAMILIES:
            with listener_for(capture, family, settings=SIDECAR) as (entry, listener):
                await capture.change([entry], [])
                carried(alone, entry, listener)
        await capture.teardown()


@pytest.mark.parametrize("way", REDIRECTS)
@pytest.mark.parametrize("family", FAMILIES)
async def test_datagrams_are_redirected_and_answered_from_the_frontend(way: str, family: Family) -> None:
    with node_with_pods(numbered=False) as net, net.node.entered():
        capture = make(way)
        await capture.setup()
        with listener_for(capture, family, port=53, protocol="UDP") as (entry, listener):
            await capture.change([entry], [])
            assert answered(net.pod, entry, listener) == ADDRESS[family]
        await capture.teardown()


@pytest.mark.parametrize("way", WAYS)
async def test_added_moved_and_removed(way: str) -> None:
    with node_with_pods() as net, net.node.entered():
        capture = make(way)
        await capture.setup()
        with (
            listener_for(capture, port=80) as (web, first),
            listener_for(capture, port=81) as (other, second),
        ):
            await capture.change([web, other], [])
            carried(net.pod, web, first)
            carried(net.pod, other, second)
            if capture.name == "redirect":
                moved = CaptureEntry(web.frontend, other.listener)
                await capture.change([moved], [web])
                carried(net.pod, moved, second)
                await capture.change([web], [moved])
            await capture.change([], [other])
            if capture.name == "redirect":
                assert not is_carried(net.pod, other, second)
            carried(net.pod, web, first)
            await capture.change([], [web])
            assert not is_carried(net.pod, web, first)
            assert await capture.repair([]) is False
        await capture.teardown()


@pytest.mark.parametrize("way", WAYS)
async def test_a_port_that_is_not_a_frontend_is_not_captured(way: str) -> None:
    with node_with_pods() as net, net.node.entered():
        capture = make(way)
        await capture.setup()
        with listener_for(capture, port=80) as (entry, listener):
            await capture.change([entry], [])
            wrong = CaptureEntry(entry.frontend.__class__(ADDRESS[Family.IPV4], 81, "TCP"), entry.listener)
            assert not is_carried(net.pod, wrong, listener)
        await capture.teardown()


@pytest.mark.parametrize("way", WAYS)
async def test_ten_thousand_entries_in_one_change(way: str) -> None:
    with node_with_pods() as net, net.node.entered():
        capture = make(way)
        await capture.setup()
        with listener_for(capture) as (entry, listener):
            entries = [*many(10_000, entry.listener), entry]
            await capture.change(entries, [])
            carried(net.pod, entry, listener)
            _touch_rules(net)
            assert await capture.repair(entries) is False
            await capture.change([], entries[:-1])
            carried(net.pod, entry, listener)
            _touch_rules(net)
            assert await capture.repair([entry]) is False
        await capture.teardown()


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("ending", ["teardown", "cleanup"])
async def test_nothing_is_left_and_nothing_of_others_is_touched(way: str, ending: str) -> None:
    with node_with_pods(default_route=False) as net, net.node.entered():
        _install_foreign_things(net)
        before = net.node.state()
        capture = make(way)
        await capture.setup()
        with listener_for(capture) as (entry, _), listener_for(capture, Family.IPV6) as (six, _):
            await capture.change([entry, six, *many(3, entry.listener)], [])
            assert net.node.state() != before
            if ending == "teardown":
                await capture.teardown()
            else:
                removed = await cleanup(NODE)
                assert len(removed) >= 2
        assert net.node.state() == before
        assert await cleanup(NODE) == ()


@pytest.mark.parametrize("way", WAYS)
async def test_a_second_process_that_fails_before_setup_takes_nothing_away(way: str) -> None:
    with node_with_pods() as net, net.node.entered():
        capture = make(way)
        await capture.setup()
        with listener_for(capture) as (entry, listener):
            await capture.change([entry], [])
            await make(way).teardown()
            carried(net.pod, entry, listener)
        await capture.teardown()


def _touch_rules(net: Network) -> None:
    net.node.run("nft", "add", "table", "inet", "elsewhere")
    net.node.run("ip", "link", "set", "lo", "mtu", "65000")


def _install_foreign_things(net: Network) -> None:
    net.node.run("ip", "addr", "add", "169.254.77.2/32", "dev", "lo")
    net.node.run("ip", "route", "add", "local", "10.101.0.1/32", "dev", "lo", "proto", "static")
    net.node.run("ip", "route", "add", "10.102.0.0/16", "dev", "pod0", "proto", "78")
    for program in ("iptables-nft", "ip6tables-nft", "iptables-legacy", "ip6tables-legacy"):
        for chain in ("PREROUTING", "OUTPUT"):
            net.node.run(program, "-t", "nat", "-A", chain, "-p", "tcp", "--dport", "9", "-j", "ACCEPT")
    net.node.run(
        "nft",
        "add table inet foreign; add chain inet foreign userproxy; "
        "add rule inet foreign userproxy tcp dport 1 accept",
    )
