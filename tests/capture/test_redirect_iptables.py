"""The iptables capture: what is its own alone. What all ways share is in test_carrying and test_repair."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest
import pytest_asyncio

from tests.capture.carry import FAMILIES, NODE, SIDECAR, make, many, repaired
from tests.netns import Network, needs_netns, needs_programs, node_with_pods
from userproxy.capture.redirect_iptables import probe
from userproxy.core.redirect import iptables_rule

pytestmark = [pytest.mark.netns, needs_netns, needs_programs("nft", "iptables-nft", "iptables-legacy")]

VARIANTS = ("iptables-nft", "iptables-legacy")


@pytest_asyncio.fixture
async def net() -> AsyncIterator[Network]:
    with node_with_pods(numbered=False) as made, made.node.entered():
        yield made


@pytest.mark.parametrize("way", VARIANTS)
async def test_one_line_for_each_entry_and_one_jump_from_each_chain(net: Network, way: str) -> None:
    capture = make(way)
    await capture.setup()
    entries = many(3, ("169.254.77.1", 5000))
    await capture.change(entries, [])
    lines = net.node.run(f"{way}-save", "-t", "nat").splitlines()
    assert [line for line in lines if line.startswith("-A")] == [
        "-A PREROUTING -j USERPROXY",
        "-A OUTPUT -j USERPROXY",
        *map(iptables_rule, entries),
    ]
    await capture.teardown()


@pytest.mark.parametrize("way", VARIANTS)
async def test_a_sidecar_has_the_output_jump_only(net: Network, way: str) -> None:
    capture = make(way, SIDECAR)
    await capture.setup()
    assert "-A PREROUTING" not in net.node.run(way, "-t", "nat", "-S")
    assert "-A OUTPUT -j USERPROXY" in net.node.run(way, "-t", "nat", "-S")
    await capture.teardown()


@pytest.mark.parametrize("way", VARIANTS)
async def test_small_and_large_changes_give_the_same_rules(net: Network, way: str) -> None:
    entries = many(200, ("169.254.77.1", 5000))
    capture = make(way)
    await capture.setup()
    await capture.change(entries, [])
    for start in range(100, 200, 50):
        await capture.change([], entries[start : start + 50])
    await capture.change(entries[100:110], entries[:10])
    wanted = entries[10:110]
    shown = net.node.run(way, "-t", "nat", "-S", "USERPROXY").splitlines()[1:]
    assert sorted(shown) == sorted(map(iptables_rule, wanted))
    assert await capture.repair(wanted) is False
    await capture.teardown()


@pytest.mark.parametrize("way", ["iptables-nft", "iptables-legacy"])
@pytest.mark.parametrize(
    "damage",
    ["-F", "-F USERPROXY", "-D OUTPUT 1", "-D PREROUTING 1", "-D USERPROXY 1", "-A USERPROXY -j ACCEPT"],
)
async def test_each_part_of_the_iptables_chains(net: Network, way: str, damage: str) -> None:
    await repaired(net, way, (way, "-t", "nat", *damage.split()))
    await repaired(net, way, (way.replace("ip", "ip6", 1), "-t", "nat", *damage.split()))


async def test_its_probe(net: Network) -> None:
    answer, program = await probe(NODE, FAMILIES)
    assert answer.usable
    assert program
    assert answer.capture == f"redirect (iptables-{program.variant})"
    for variant in ("iptables-save", "ip6tables-save"):
        assert "USERPROXY" not in net.node.run(variant, "-t", "nat")
