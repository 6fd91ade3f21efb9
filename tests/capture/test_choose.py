"""Which way is taken where, what a person is told about it, and that probing leaves no trace."""

from __future__ import annotations

import asyncio
import json
import shutil
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
import uvloop

from tests.capture.carry import NODE, SIDECAR
from tests.netns import Namespace, namespace, needs_netns, needs_programs, node_with_pods
from userproxy.capture.choose import choose
from userproxy.capture.commands import run
from userproxy.capture.settings import CaptureSettings, host_has_ipv6
from userproxy.errors import CaptureError, UsageError
from userproxy.model import Family, Probe

pytestmark = [pytest.mark.netns, needs_netns, needs_programs("nft", "iptables-nft", "iptables-legacy")]

BOTH = (Family.IPV4, Family.IPV6)
REDIRECTED = "a test connection was redirected"
IPTABLES = {"redirect (iptables-nft)", "redirect (iptables-legacy)"}

DROP_PROBES = """
add table inet firewall
add chain inet firewall output { type filter hook output priority -300; }
add rule inet firewall output ip daddr 203.0.113.77 drop
"""


@pytest.fixture
def alone() -> Iterator[Namespace]:
    with namespace() as made, made.entered():
        yield made


@pytest.fixture
def programs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The only folder in PATH, empty at first."""
    monkeypatch.setenv("PATH", str(tmp_path))
    return tmp_path


def install(folder: Path, *names: str) -> None:
    for name in names:
        for suffix in ("", "-save", "-restore"):
            program = shutil.which(name + suffix, path="/usr/sbin:/sbin:/usr/bin:/bin")
            if program:
                (folder / (name + suffix)).symlink_to(program)


def install_broken(folder: Path, name: str, error: str) -> None:
    program = folder / name
    program.write_text(f"#!/bin/sh\necho '{error}' >&2\nexit 1\n")
    program.chmod(0o755)


@pytest.mark.parametrize("sidecar", [False, True])
@pytest.mark.parametrize("mode", ["redirect-nft", "redirect-iptables", "route", "loopback", "none"])
async def test_a_probe_that_succeeds_leaves_no_trace(mode: str, *, sidecar: bool) -> None:
    with node_with_pods(default_route=False) as net, net.node.entered():
        for program in ("iptables-nft", "ip6tables-nft"):
            # Built-in chains stay once they are there, so they are there before.
            for chain in ("PREROUTING", "OUTPUT"):
                net.node.run(program, "-t", "nat", "-A", chain, "-p", "tcp", "--dport", "9", "-j", "ACCEPT")
        before = net.node.state()
        chosen = await choose(CaptureSettings(mode, sidecar=sidecar))
        assert net.node.state() == before
        assert mode.startswith(chosen.capture.name)
        assert chosen.capture.families == BOTH
        (answer,) = chosen.probes
        assert answer.usable
        assert answer.reason.startswith("a test connection ")


async def test_auto_takes_nftables_first(alone: Namespace) -> None:
    chosen = await choose(NODE)
    assert (chosen.capture.name, chosen.capture.detail) == ("redirect", "nft")
    assert chosen.probes == (Probe("redirect (nft)", usable=True, reason=REDIRECTED),)


def test_probing_under_uvloop(alone: Namespace) -> None:
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        for mode in ("redirect-nft", "redirect-iptables", "route", "loopback", "none"):
            assert mode.startswith(runner.run(choose(CaptureSettings(mode))).capture.name)


@pytest.mark.parametrize("settings", [NODE, SIDECAR])
async def test_without_nft_auto_takes_iptables(
    alone: Namespace, programs: Path, settings: CaptureSettings
) -> None:
    install(programs, "iptables", "ip6tables")
    chosen = await choose(settings)
    assert chosen.capture.name == "redirect"
    assert chosen.capture.detail in {"iptables-nft", "iptables-legacy"}
    nft, iptables = chosen.probes
    missing = f"no nft program in PATH ({programs}): install it or add its folder"
    assert nft == Probe("redirect (nft)", usable=False, reason=missing)
    assert iptables.usable
    assert iptables.capture in IPTABLES


async def test_the_legacy_variant_is_taken_where_the_default_fails(alone: Namespace, programs: Path) -> None:
    install(programs, "iptables-legacy", "ip6tables-legacy")
    install_broken(programs, "iptables-save", "iptables: Operation not supported")
    (programs / "iptables").write_text("#!/bin/sh\necho 'iptables v1.8.9 (nf_tables)'\n")
    (programs / "iptables").chmod(0o755)
    chosen = await choose(CaptureSettings("redirect-iptables"))
    assert chosen.capture.detail == "iptables-legacy"
    await chosen.capture.setup()
    assert "USERPROXY" in await run(["iptables-legacy-save"])
    await chosen.capture.teardown()


async def test_without_any_rule_program_auto_takes_routes(alone: Namespace, programs: Path) -> None:
    chosen = await choose(NODE)
    assert chosen.capture.name == "route"
    assert [answer.usable for answer in chosen.probes] == [False, False, True]
    assert chosen.probes[1].reason.startswith("no iptables program in PATH")


async def test_a_refusal_of_the_kernel_is_told_in_its_words(alone: Namespace, programs: Path) -> None:
    install_broken(programs, "nft", "Error: Could not process rule: Operation not supported")
    with pytest.raises(CaptureError) as caught:
        await choose(CaptureSettings("redirect-nft"))
    assert str(caught.value) == (
        "capture redirect-nft is not usable: "
        "redirect (nft): nft -f -: Error: Could not process rule: Operation not supported "
        "(--capture auto takes another way if there is one)"
    )


@pytest.mark.parametrize("mode", ["auto", "redirect", "redirect-nft", "redirect-iptables", "route"])
def test_without_rights(alone: Namespace, mode: str) -> None:
    before = alone.state()
    shown = json.loads(without_rights(alone, mode))
    assert alone.state() == before
    if mode == "auto":
        assert shown["name"] == "loopback"
        assert [usable for _, usable, _ in shown["probes"]] == [False, False, False, True]
        reasons = [reason for _, usable, reason in shown["probes"] if not usable]
    else:
        reasons = [shown["error"]]
        assert shown["error"].startswith(f"capture {mode} is not usable: ")
        assert "\n" not in shown["error"]
    for reason in reasons:
        assert "run as root or with CAP_NET_ADMIN" in reason


def without_rights(alone: Namespace, mode: str, capability: str = "net_admin") -> str:
    program = f"""
import asyncio, json
from userproxy.capture.choose import choose
from userproxy.capture.settings import CaptureSettings
from userproxy.errors import CaptureError
try:
    chosen = asyncio.run(choose(CaptureSettings({mode!r})))
except CaptureError as error:
    print(json.dumps({{"error": str(error)}}))
else:
    probes = [(probe.capture, probe.usable, probe.reason) for probe in chosen.probes]
    print(json.dumps({{"name": chosen.capture.name, "probes": probes}}))
"""
    return alone.run("setpriv", f"--bounding-set=-{capability}", sys.executable, "-c", program)


async def test_an_unknown_mode_is_a_usage_error() -> None:
    with pytest.raises(
        UsageError, match="unknown capture 'ebpf': use one of auto, redirect, route, loopback, none"
    ):
        await choose(CaptureSettings("ebpf"))


async def test_a_host_without_ipv6() -> None:
    with namespace() as alone, alone.entered():
        assert host_has_ipv6()
        alone.set("net/ipv6/conf/all/disable_ipv6", "1")
        assert not host_has_ipv6()
        capture = (await choose(NODE)).capture
        assert capture.families == (Family.IPV4,)
        await capture.setup()
        assert "ip6" not in alone.run("nft", "list", "ruleset")
        await capture.teardown()
        with pytest.raises(CaptureError, match="IPv6: cannot add address fd77:7573:6572::1 to lo"):
            await choose(CaptureSettings("redirect-nft", ipv6=True))


async def test_ipv6_that_works_only_in_part_is_left_out_unless_asked_for(alone: Namespace) -> None:
    alone.run("nft", "-f", "-", stdin=DROP_PROBES.replace("ip daddr 203.0.113.77", "ip6 daddr 2001:db8::77"))
    chosen = await choose(CaptureSettings("redirect-nft"))
    assert chosen.capture.families == (Family.IPV4,)
    assert chosen.probes[0].usable
    assert "IPv4 only, IPv6: a test connection to 2001:db8::77 got no answer" in chosen.probes[0].reason
    with pytest.raises(CaptureError, match="IPv6: a test connection to 2001:db8::77 got no answer"):
        await choose(CaptureSettings("redirect-nft", ipv6=True))
