"""The nftables capture: what is its own alone. What all ways share is in test_carrying and test_repair."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest
import pytest_asyncio

from tests.capture.carry import ADDRESS, FAMILIES, NODE, SIDECAR, carried, listener_for, make, many, repaired
from tests.netns import Network, needs_netns, needs_programs, node_with_pods
from userproxy.capture.redirect_nft import probe
from userproxy.errors import CaptureError
from userproxy.model import Family, Probe

pytestmark = [pytest.mark.netns, needs_netns, needs_programs("nft")]

KEY = f"{ADDRESS[Family.IPV4]} . tcp . 80"
DELETED = f"delete element ip userproxy services {{ {KEY} }}"
MOVED = f"{DELETED}; add element ip userproxy services {{ {KEY} : 127.0.0.1 . 9 }}"


@pytest_asyncio.fixture
async def net() -> AsyncIterator[Network]:
    with node_with_pods(numbered=False) as made, made.node.entered():
        yield made


async def test_one_map_and_one_rule_for_each_chain_whatever_the_number_of_entries(net: Network) -> None:
    capture = make("nft")
    await capture.setup()
    await capture.change(many(500, ("169.254.77.1", 5000)), [])
    shown = net.node.run("nft", "list", "ruleset")
    assert shown.count("dnat ip to ip daddr . meta l4proto . th dport map @services") == 2
    assert shown.count("chain ") == 4
    assert shown.count("169.254.77.1 . 5000") == 500
    await capture.teardown()


async def test_a_sidecar_has_the_output_chain_only(net: Network) -> None:
    capture = make("nft", SIDECAR)
    await capture.setup()
    shown = net.node.run("nft", "list", "ruleset")
    assert shown.count("hook output") == 2
    assert "hook prerouting" not in shown
    await capture.teardown()


@pytest.mark.parametrize(
    "damage",
    [
        DELETED,
        "add element ip userproxy services { 10.1.1.1 . tcp . 80 : 127.0.0.1 . 80 }",
        MOVED,
        "flush map ip userproxy services",
        "flush chain ip userproxy output",
        "insert rule ip userproxy prerouting accept",
        "delete table ip6 userproxy",
        "flush table ip6 userproxy",
        "add chain ip userproxy stranger",
    ],
)
async def test_each_part_of_the_nft_table(net: Network, damage: str) -> None:
    await repaired(net, "nft", ("nft", damage))


async def test_a_change_after_the_table_was_flushed_is_an_error_and_repair_puts_it_right(
    net: Network,
) -> None:
    capture = make("nft")
    await capture.setup()
    with listener_for(capture) as (entry, listener):
        net.node.run("nft", "flush", "ruleset")
        with pytest.raises(CaptureError, match="No such file or directory"):
            await capture.change([entry], [])
        assert await capture.repair([entry]) is True
        carried(net.node, entry, listener)
    await capture.teardown()


async def test_its_probe(net: Network) -> None:
    before = net.node.state()
    assert await probe(NODE, FAMILIES) == Probe(
        "redirect (nft)", usable=True, reason="a test connection was redirected"
    )
    assert net.node.state() == before
