"""Probes are usable only when bytes arrive, and undo all they did however they end."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Iterator

import pytest

from tests.capture.carry import FAMILIES, NODE
from tests.netns import Namespace, namespace, needs_netns, needs_programs
from userproxy.capture import local_route, redirect_nft
from userproxy.capture.probing import connect, listening, temporary_address, try_redirect
from userproxy.errors import CaptureError
from userproxy.model import CaptureEntry, Family, Probe

pytestmark = [pytest.mark.netns, needs_netns, needs_programs("nft")]

DROP = """
add table inet firewall
add chain inet firewall output { type filter hook output priority -300; }
add rule inet firewall output ip daddr 203.0.113.77 drop
"""


@pytest.fixture
def alone() -> Iterator[Namespace]:
    with namespace() as made, made.entered():
        yield made


async def test_rules_that_are_accepted_but_do_not_work_are_not_usable(alone: Namespace) -> None:
    alone.run("nft", "-f", "-", stdin=DROP)
    before = alone.state()
    for probe, label in ((redirect_nft.probe, "redirect (nft)"), (local_route.probe, "route")):
        answer = await probe(NODE, [Family.IPV4])
        if label == "redirect (nft)":
            assert answer == Probe(
                label, usable=False, reason="a test connection to 203.0.113.77 got no answer"
            )
        assert not answer.usable
        assert "got no answer" in answer.reason
    assert alone.state() == before


async def test_nothing_is_usable_that_does_not_redirect(alone: Namespace) -> None:
    async def install(entry: CaptureEntry, family: Family) -> None:
        pass

    async def uninstall(family: Family) -> None:
        pass

    before = alone.state()
    answer = await try_redirect("x", NODE, FAMILIES, install, uninstall)
    reason = "a test connection to 203.0.113.77 failed: Connection refused"
    assert answer == Probe("x", usable=False, reason=reason)
    assert alone.state() == before


async def test_the_reason_is_what_failed_first(alone: Namespace) -> None:
    async def install(entry: CaptureEntry, family: Family) -> None:
        raise CaptureError("no rules here")

    async def uninstall(family: Family) -> None:
        raise CaptureError("nothing to remove")

    before = alone.state()
    answer = await try_redirect("x", NODE, [Family.IPV6], install, uninstall)
    assert answer == Probe("x", usable=False, reason="IPv6: no rules here")
    assert alone.state() == before


async def test_a_probe_that_is_cancelled_undoes_what_it_did(alone: Namespace) -> None:
    undone = []
    installing = asyncio.Barrier(len(FAMILIES) + 1)

    async def install(entry: CaptureEntry, family: Family) -> None:
        await installing.wait()
        await asyncio.sleep(60)

    async def uninstall(family: Family) -> None:
        undone.append(family)

    before = alone.state()
    async with asyncio.TaskGroup() as group:
        trying = group.create_task(try_redirect("x", NODE, FAMILIES, install, uninstall), name="probe")
        await asyncio.wait_for(installing.wait(), 10)
        trying.cancel()
    assert sorted(undone) == sorted(FAMILIES)
    assert alone.state() == before


def test_low_ports_need_a_right_of_their_own(alone: Namespace) -> None:
    program = """
import asyncio
from userproxy.capture.local_route import probe
from userproxy.capture.settings import CaptureSettings
from userproxy.model import Family
print(asyncio.run(probe(CaptureSettings(), [Family.IPV4])).reason)
"""
    shown = alone.run("setpriv", "--bounding-set=-net_bind_service", sys.executable, "-c", program)
    advice = "run as root or with CAP_NET_BIND_SERVICE"
    assert shown == f"listeners on ports below 1024 are not permitted: {advice}\n"


async def test_a_low_port_in_use_is_no_missing_right(alone: Namespace) -> None:
    with listening(("0.0.0.0", 7)):
        answer = await local_route.probe(NODE, [Family.IPV4])
    assert answer.usable


def test_an_address_that_was_there_before_stays(alone: Namespace) -> None:
    alone.run("ip", "addr", "add", "169.254.77.1/32", "dev", "lo")
    before = alone.state()
    with temporary_address("169.254.77.1"):
        pass
    assert alone.state() == before


async def test_connections_carry_the_address_of_the_listener(alone: Namespace) -> None:
    with listening(("127.0.0.1", 0)) as listener:
        with await connect(listener.getsockname(), listener) as accepted:
            assert accepted.getsockname() == listener.getsockname()
        with pytest.raises(
            CaptureError, match=r"a test connection to 127\.0\.0\.1 failed: Connection refused"
        ):
            await connect(("127.0.0.1", 1), listener)


def test_an_address_that_cannot_be_listened_on(alone: Namespace) -> None:
    with pytest.raises(
        CaptureError, match=r"^cannot listen on 10\.9\.9\.9: Cannot assign requested address$"
    ):
        with listening(("10.9.9.9", 0)):
            pass
    with listening(("10.9.9.9", 0), freebind=True) as listener:
        assert listener.getsockname()[0] == "10.9.9.9"
