"""What facts of a host mean: each threshold from both sides."""

from __future__ import annotations

import pytest

from userproxy.core import host_checks
from userproxy.core.findings import CHECKS, Finding, Outcome
from userproxy.model import Probe

OK, WARNING, FAILED = Outcome.OK, Outcome.WARNING, Outcome.FAILED
ALL_RIGHTS = "Name:\tx\nCapEff:\t000001ffffffffff\nSeccomp:\t0\n"
IPTABLES = "*nat\n:PREROUTING ACCEPT [0:0]\n:KUBE-SERVICES - [0:0]\nCOMMIT\n"

CASES: list[tuple[Finding, Outcome, str]] = [
    (host_checks.version("1.2", "3.11"), OK, "userproxy 1.2, Python 3.11"),
    (host_checks.kernel("Linux", "6.18.4-x"), OK, "Linux 6.18.4-x"),
    (host_checks.kernel("Linux", "4.18.0"), WARNING, "4.18"),
    (host_checks.kernel("Linux", "4.4.0"), FAILED, "4.4"),
    (host_checks.kernel("Linux", "odd"), FAILED, "odd"),
    (host_checks.kernel("Darwin", "23.1"), FAILED, "Darwin"),
    (host_checks.capabilities(ALL_RIGHTS), OK, "CAP_NET_ADMIN"),
    (host_checks.capabilities("CapEff:\t0000000000001000\n"), WARNING, "CAP_NET_ADMIN"),
    (host_checks.capabilities("CapEff:\t0000000000001400\n"), OK, "CAP_NET_BIND_SERVICE, CAP_NET_ADMIN"),
    (host_checks.capabilities(""), WARNING, "none"),
    (host_checks.clock(0), OK, "synchronized"),
    (host_checks.clock(5), WARNING, "not synchronized"),
    (host_checks.ports({}, agent_answers=False, addresses=["127.0.0.1:1"]), OK, "127.0.0.1:1: free"),
    (host_checks.ports({}, agent_answers=False, addresses=[]), OK, "no health or metrics server"),
    (host_checks.ports({"a:1": "in use"}, agent_answers=True, addresses=["a:1"]), OK, "running agent"),
    (host_checks.ports({"a:1": "in use"}, agent_answers=False, addresses=["a:1"]), FAILED, "a:1: in use"),
    (host_checks.descriptors(1048576, 524000), OK, "524000 connections"),
    (host_checks.descriptors(1024, 384), WARNING, "hard limit 1024"),
    (host_checks.conntrack(None, None), OK, "not in use"),
    (host_checks.conntrack(1, 262144), OK, "1 of 262144"),
    (host_checks.conntrack(1, 65536), WARNING, "1 of 65536"),
    (host_checks.conntrack(99, 100), FAILED, "about to be dropped"),
    (host_checks.port_range(32768, 60999, ""), OK, "32768-60999"),
    (host_checks.port_range(30000, 60999, ""), WARNING, "2768 of them are node ports"),
    (host_checks.port_range(1024, 31000, "8080,30000-30999"), WARNING, "1 of them are node ports"),
    (host_checks.port_range(1024, 60999, "8080,30000-32767"), OK, "are kept"),
    (host_checks.other_proxies("table inet filter\n", "", ["lo"]), OK, "no rules"),
    (host_checks.other_proxies("table ip kube-proxy\n", "", []), WARNING, "kube-proxy (nftables)"),
    (host_checks.other_proxies("", IPTABLES, ["kube-ipvs0"]), WARNING, "(iptables), kube-proxy (IPVS)"),
    (host_checks.other_proxies("", "", ["cilium_host"]), WARNING, "Cilium"),
    (host_checks.other_proxies("", ":CILIUM_PRE_nat - [0:0]\n", []), WARNING, "Cilium"),
    (host_checks.other_proxies("", "", [], ["nft: not permitted"]), WARNING, "cannot be looked at: nft: not"),
    (host_checks.other_proxies("table ip kube-proxy\n", "", [], ["x"]), WARNING, "kube-proxy (nftables)"),
    (host_checks.leftovers([], agent_answers=False, unseen=["x"]), WARNING, "cannot be looked at"),
    (host_checks.leftovers([], agent_answers=False), OK, "none"),
    (host_checks.leftovers(["table ip userproxy"], agent_answers=True), OK, "running agent"),
    (host_checks.leftovers(["table ip userproxy"], agent_answers=False), WARNING, "table ip userproxy"),
]


@pytest.mark.parametrize(("finding", "outcome", "says"), CASES, ids=lambda value: str(value)[:40])
def test_each_fact(finding: Finding, outcome: Outcome, says: str) -> None:
    assert finding.outcome is outcome
    assert says in finding.text
    assert bool(finding.hint) is (outcome is not OK), "what is not well comes with what to do"
    assert finding.check in CHECKS


NFT = Probe("redirect (nft)", usable=True, reason="it works")
NO_IPTABLES = Probe("redirect (iptables)", usable=False, reason="not installed")
IPTABLES_WORKS = Probe("redirect (iptables-legacy)", usable=True, reason="it works")
NO_NFT = Probe("redirect (nft)", usable=False, reason="not permitted")
NO_ROUTE = Probe("route", usable=False, reason="not permitted")
LOOPBACK = Probe("loopback", usable=True, reason="it works")


@pytest.mark.parametrize(
    ("probes", "mode", "outcomes", "says"),
    [
        ((NFT, NO_IPTABLES, LOOPBACK), "auto", [OK, WARNING, OK, OK], "takes redirect (nft)"),
        ((NO_NFT, IPTABLES_WORKS), "redirect", [WARNING, OK, OK], "takes redirect (iptables-legacy)"),
        ((NO_NFT, NO_IPTABLES, LOOPBACK), "redirect", [FAILED, FAILED, OK, FAILED], "nothing that it allows"),
        ((NO_NFT, IPTABLES_WORKS, NO_ROUTE), "redirect-nft", [FAILED, OK, WARNING, FAILED], "nothing"),
        ((NO_NFT, LOOPBACK), "loopback", [WARNING, OK, OK], "takes loopback"),
        ((NO_NFT,), "none", [WARNING, OK], "takes none"),
    ],
)
def test_probes_count_where_the_mode_needs_them(
    probes: tuple[Probe, ...], mode: str, outcomes: list[Outcome], says: str
) -> None:
    findings = host_checks.capture_findings(probes, mode)
    assert [finding.outcome for finding in findings] == outcomes
    assert says in findings[-1].text
    assert all(finding.check in CHECKS for finding in findings)
