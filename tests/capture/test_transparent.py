"""Transparent dials in namespaces: an endpoint sees the client's address, and its answers come back to this host.

The dial is made as the data plane makes it (`dataplane.transparent`); what steers the answers is the capture's.
"""

from __future__ import annotations

import socket
from collections.abc import AsyncIterator

import pytest
import pytest_asyncio

from tests.netns import Network, needs_netns, node_with_pods, pod_address
from userproxy.capture.choose import Capture, choose
from userproxy.capture.cleanup import cleanup
from userproxy.capture.settings import CaptureSettings
from userproxy.capture.transparent import Transparent, probe
from userproxy.dataplane.transparent import bind_source
from userproxy.errors import CaptureError
from userproxy.model import Family

pytestmark = [pytest.mark.netns, needs_netns]

SETTINGS = CaptureSettings("none", transparent=True)
TABLE = ("table", "inet", "userproxy-transparent")


@pytest_asyncio.fixture
async def net() -> AsyncIterator[Network]:
    with node_with_pods(pods=2) as made, made.node.entered():
        yield made


async def made(settings: CaptureSettings = SETTINGS) -> Capture:
    capture = (await choose(settings)).capture
    assert isinstance(capture, Transparent)
    await capture.setup()
    return capture


def carried(net: Network, *, ipv6: bool = False, seconds: float = 5) -> bool:
    """Whether a dial from Pod 0's address to Pod 1 is answered in so many seconds, with that address seen there."""
    source, target = pod_address(0, ipv6=ipv6), pod_address(1, ipv6=ipv6)
    family = socket.AF_INET6 if ipv6 else socket.AF_INET
    with net.pods[1].entered():
        endpoint = socket.create_server((target, 0), family=family)
    with endpoint, socket.socket(family) as dial:
        bind_source(dial, source, target)
        dial.settimeout(seconds)
        try:
            dial.connect(endpoint.getsockname())
        except TimeoutError:
            return False
        dial.settimeout(5)
        accepted, peer = endpoint.accept()
        with accepted:
            assert peer[0] == source
            accepted.sendall(b"answer")
            return dial.recv(100) == b"answer"


@pytest.mark.parametrize("ipv6", [False, True])
@pytest.mark.parametrize("numbered", [False, True])
async def test_answers_come_back(*, numbered: bool, ipv6: bool) -> None:
    with node_with_pods(pods=2, numbered=numbered) as net, net.node.entered():
        assert not carried(net, ipv6=ipv6, seconds=0.5)
        capture = await made()
        assert carried(net, ipv6=ipv6)
        target = pod_address(1, ipv6=ipv6)
        family = socket.AF_INET6 if ipv6 else socket.AF_INET
        with net.pods[1].entered():
            endpoint = socket.create_server((target, 0), family=family)
        # the Pod's own connections go to the Pod as ever
        with endpoint, net.pods[0].entered():
            socket.create_connection(endpoint.getsockname()[:2], timeout=5).close()
        await capture.teardown()


@pytest.mark.parametrize("reverse_path_filter", ["1", "2"])
async def test_with_the_mark_in_the_check_of_senders(net: Network, reverse_path_filter: str) -> None:
    """As WireGuard and Calico set it."""
    for interface in ("all", "pod0", "pod1"):
        net.node.set(f"net/ipv4/conf/{interface}/src_valid_mark", "1")
        net.node.set(f"net/ipv4/conf/{interface}/rp_filter", reverse_path_filter)
    capture = await made()
    assert carried(net)
    await capture.teardown()


async def test_nothing_is_left_behind(net: Network) -> None:
    before = net.node.state()
    capture = await made()
    assert net.node.state() != before
    await capture.teardown()
    assert net.node.state() == before


async def test_a_crash_is_cleaned_up(net: Network) -> None:
    before = net.node.state()
    await made()
    removed = await cleanup(SETTINGS)
    assert {"nft table inet userproxy-transparent", "rule of routing table 7077 (IPv4)"} <= set(removed)
    assert net.node.state() == before
    assert await cleanup(SETTINGS) == ()
    await made()
    capture = await made()  # over what a crash left
    assert carried(net)
    await capture.teardown()
    await cleanup(SETTINGS)  # the proxy address, which the second run found there
    assert net.node.state() == before


@pytest.mark.parametrize(
    "damage",
    [
        ("nft", "flush", "ruleset"),
        ("nft", "flush", *TABLE),
        ("ip", "rule", "del", "priority", "77"),
        ("ip", "rule", "del", "priority", "76"),
        ("ip", "-6", "route", "flush", "table", "7077"),
    ],
)
async def test_what_others_remove_is_restored(net: Network, damage: tuple[str, ...]) -> None:
    capture = await made()
    assert await capture.repair([]) is False
    whole = net.node.state()
    net.node.run(*damage)
    assert await capture.repair([]) is True
    assert net.node.state() == whole
    assert await capture.repair([]) is False
    net.node.run("nft", "add", "table", "inet", "of-others")
    assert await capture.repair([]) is False
    assert carried(net)
    await capture.teardown()


async def test_its_probe_leaves_a_running_one_alone(net: Network) -> None:
    before = net.node.state()
    assert (await probe(tuple(Family), workers=True)).usable
    assert net.node.state() == before
    capture = await made()
    running = net.node.state()
    assert (await probe(tuple(Family), workers=True)).usable
    assert net.node.state() == running
    await capture.teardown()


@pytest.mark.parametrize(
    ("settings", "says"),
    [
        (CaptureSettings("loopback", transparent=True), "all clients are this host itself"),
        (CaptureSettings("none", transparent=True, sidecar=True), "all clients are this host itself"),
    ],
)
async def test_where_it_means_nothing_it_is_refused(
    net: Network, settings: CaptureSettings, says: str
) -> None:
    with pytest.raises(CaptureError, match=says):
        await choose(settings)
