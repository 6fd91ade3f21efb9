"""`userproxy check` in a namespace: a bare host, a running demo, output formats, exit codes, waiting."""

from __future__ import annotations

import msgspec
import pytest

from tests.cli.conftest import Demo
from tests.cli.invoke import userproxy
from tests.netns import namespace, needs_netns, needs_programs
from userproxy.core.findings import CHECKS, CheckReport, Outcome

pytestmark = [pytest.mark.netns, needs_netns, needs_programs("nft")]
API = ("--master", "http://127.0.0.1:8001")


def test_before_an_installation_nothing_need_run_and_nothing_is_left_behind() -> None:
    with namespace("bare") as home:
        before = home.state()
        with home.entered():
            done = userproxy("check", "--pre")
        after = home.state()
        # iptables (nf_tables) makes its own empty nat table whenever it is used, and leaves it.
        assert "userproxy" not in after.pop("nft").lower()
        assert before.pop("nft") == ""
        assert after == before
    assert done.code == 0, done.out + done.err
    assert "√ redirect-nft: redirect (nft): a test connection was redirected" in done.out
    assert "agent" not in done.out


def test_a_host_without_agent_and_api_fails_with_hints() -> None:
    with namespace("bare") as home, home.entered():
        done = userproxy(
            "check", "--only", "agent", "--only", "api/reachable", "--master", "http://127.0.0.1:9"
        )
    assert done.code == 1
    lines = done.out.splitlines()
    assert [line[0] for line in lines if line.startswith(("×", "√"))] == ["×", "×"]
    assert "see deploy/reference.md#check-agent-running" in done.out


def test_beside_the_demo_all_is_well(demo: Demo) -> None:
    done = demo.userproxy("check", *API, "-o", "json")
    report = msgspec.json.decode(done.out, type=CheckReport)
    failures = [one.text for one in report.checks if one.outcome is Outcome.FAILED]
    assert (done.code, failures) == (0, [])
    named = {one.name: one for one in report.checks}
    assert set(named) == set(CHECKS)
    assert named["host/ports"].text.endswith("in use by the running agent")
    assert named["host/leftovers"].outcome is Outcome.OK
    assert named["agent/services"].text == "1 Services with 1 ports"


def test_waiting_ends_with_the_first_run_that_passes(demo: Demo) -> None:
    assert demo.userproxy("check", "--only", "agent", "--wait", "60s").code == 0
    assert demo.userproxy("check", "--only", "agent", "--agent", "127.0.0.1:9", "--wait", "0.1").code == 1


def test_rules_of_other_proxies_and_leftovers_are_named() -> None:
    with namespace("taken") as home:
        home.run("nft", "add", "table", "ip", "kube-proxy")
        home.run("nft", "add", "table", "ip", "userproxy")
        with home.entered():
            done = userproxy("check", "--only", "host")
    assert "‼ other-proxies: rules of kube-proxy (nftables) are present" in done.out
    assert "‼ leftovers: table ip userproxy without an agent that answers" in done.out
    assert done.code == 0, "warnings do not fail"
