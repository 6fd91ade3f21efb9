"""Rules of earlier runs are found in every program that may hold them, and only those."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.capture.carry import make, many
from tests.netns import Namespace, namespace, needs_netns, needs_programs
from userproxy.capture.leftovers import remove_rules
from userproxy.capture.probing import PROBE_CHAIN, PROBE_TABLE
from userproxy.core.redirect import iptables_full, nft_full
from userproxy.model import Family

pytestmark = [pytest.mark.netns, needs_netns, needs_programs("nft", "iptables-nft", "iptables-legacy")]

ENTRIES = many(1, ("169.254.77.1", 5000))


@pytest.fixture
def alone() -> Iterator[Namespace]:
    with namespace() as made, made.entered():
        yield made


async def test_what_a_killed_probe_left(alone: Namespace) -> None:
    alone.run("nft", "-f", "-", stdin=nft_full(ENTRIES, [Family.IPV4], forwarded=True, table=PROBE_TABLE))
    text = iptables_full(ENTRIES, jumps=["OUTPUT"], chain=PROBE_CHAIN)
    alone.run("iptables-nft-restore", "--noflush", stdin=text)
    assert await remove_rules() == [
        "nft table ip userproxy-probe",
        "iptables-nft chain USERPROXY-PROBE (IPv4)",
    ]
    assert await remove_rules() == []


async def test_jumps_that_were_doubled(alone: Namespace) -> None:
    text = iptables_full(ENTRIES, jumps=["OUTPUT", "OUTPUT", "PREROUTING"])
    alone.run("iptables-legacy-restore", "--noflush", stdin=text)
    assert await remove_rules() == ["iptables-legacy chain USERPROXY (IPv4)"]
    assert "USERPROXY" not in alone.run("iptables-legacy-save")


async def test_a_nat_table_that_iptables_cannot_read_does_not_stop_it(
    alone: Namespace, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("INFO")
    await make("nft").setup()
    alone.run("nft", "add table ip nat")
    alone.run("nft", "add chain ip nat OUTPUT { type nat hook output priority -100; }")
    alone.run("nft", "add rule ip nat OUTPUT numgen inc mod 2 0 accept")
    before = alone.run("nft", "list", "table", "ip", "nat")
    assert await remove_rules() == ["nft table ip userproxy", "nft table ip6 userproxy"]
    assert alone.run("nft", "list", "table", "ip", "nat") == before
    assert "cannot look for rules of an earlier run: iptables-save cannot read" in caplog.text


async def test_without_any_program_there_is_nothing_to_look_for(
    alone: Namespace, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    assert await remove_rules() == []


async def test_iptables_without_ip6tables(
    alone: Namespace, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    for name in ("iptables", "iptables-save"):
        (tmp_path / name).symlink_to("/usr/sbin/xtables-nft-multi")
    monkeypatch.setenv("PATH", str(tmp_path))
    caplog.set_level("INFO")
    assert await remove_rules() == []
    assert not caplog.records
