"""Cleanup removes all that a killed run left, tells what it was, and touches nothing else."""

from __future__ import annotations

import subprocess
import sys

import pytest

from tests.capture.carry import NODE, SIDECAR, make, many
from tests.netns import namespace, needs_netns, needs_programs, node_with_pods
from userproxy.capture.cleanup import cleanup
from userproxy.capture.settings import CaptureSettings
from userproxy.core.redirect import iptables_full

pytestmark = [pytest.mark.netns, needs_netns, needs_programs("nft", "iptables-nft", "iptables-legacy")]

RUN_UNTIL_KILLED = """
import asyncio, sys
from tests.capture.carry import make, many
from userproxy.model import CaptureEntry, Frontend

async def main():
    capture = make(sys.argv[1])
    await capture.setup()
    await capture.change(many(50, ("169.254.77.1", 5000)), [])
    print("ready", flush=True)
    await asyncio.sleep(60)

asyncio.run(main())
"""


@pytest.mark.parametrize("way", ["nft", "route"])
@pytest.mark.parametrize("default_route", [True, False], ids=["default-route", "no-default-route"])
async def test_after_kill_9_everything_is_as_it_was(way: str, *, default_route: bool) -> None:
    with node_with_pods(default_route=default_route) as net, net.node.entered():
        before = net.node.state()
        process = net.node.start(sys.executable, "-c", RUN_UNTIL_KILLED, way, stdout=subprocess.PIPE)
        assert process.stdout
        assert process.stdout.readline() == "ready\n"
        assert net.node.state() != before
        process.kill()
        process.wait()
        removed = await cleanup(NODE)
        assert net.node.state() == before
        if way == "nft":
            assert {"nft table ip userproxy", "nft table ip6 userproxy"} < set(removed)
            assert "address 169.254.77.1 on lo" in removed
        assert ("local route 10.100.0.49" in removed) == (way == "route" or not default_route)


async def test_what_is_removed_is_told() -> None:
    with namespace() as alone, alone.entered():
        for way in ("route", "iptables-legacy", "iptables-nft", "nft"):
            capture = make(way)
            # Each setup removes the rules of the one before, so they are written behind its back.
            await capture.setup()
        entries = many(1, ("169.254.77.1", 5000))
        text = iptables_full(entries, jumps=["OUTPUT", "PREROUTING"])
        alone.run("iptables-nft-restore", "--noflush", stdin=text)
        alone.run("iptables-legacy-restore", "--noflush", stdin=text)
        alone.run("ip", "route", "add", "local", "10.100.0.0", "dev", "lo", "proto", "77")
        assert await cleanup(NODE) == (
            "nft table ip userproxy",
            "nft table ip6 userproxy",
            "iptables-nft chain USERPROXY (IPv4)",
            "iptables-legacy chain USERPROXY (IPv4)",
            "local route 10.100.0.0",
            "address 169.254.77.1 on lo",
            "address fd77:7573:6572::1 on lo",
        )
        assert await cleanup(NODE) == ()


async def test_a_clean_host_is_only_read() -> None:
    with namespace() as alone, alone.entered():
        before = alone.state()
        assert await cleanup(NODE) == ()
        assert await cleanup(SIDECAR) == ()
        assert alone.state() == before
        for names in ("ip_tables_names", "ip6_tables_names"):
            assert alone.run("cat", f"/proc/net/{names}") == "", "no legacy table was loaded by looking"


async def test_other_proxy_addresses() -> None:
    settings = CaptureSettings(proxy_address4="169.254.99.1", proxy_address6="fd99::1")
    with namespace() as alone, alone.entered():
        capture = make("nft", settings)
        await capture.setup()
        removed = await cleanup(settings)
        assert removed[-2:] == ("address 169.254.99.1 on lo", "address fd99::1 on lo")


def test_without_rights_it_says_so() -> None:
    program = """
import asyncio
from userproxy.capture.cleanup import cleanup
from userproxy.capture.settings import CaptureSettings
asyncio.run(cleanup(CaptureSettings()))
"""
    command = ("setpriv", "--bounding-set=-net_admin", sys.executable, "-c", program)
    with namespace() as alone, pytest.raises(AssertionError, match="run as root or with CAP_NET_ADMIN"):
        alone.run(*command)
