"""Facts read from the running kernel: each finding comes once and is well formed; ports that are taken are told."""

from __future__ import annotations

import socket

from userproxy.check.host import plain_findings, port_findings
from userproxy.core.findings import CHECKS, Outcome


def test_every_plain_fact_is_read_here() -> None:
    findings = plain_findings()
    names = [one.check for one in findings]
    assert len(set(names)) == len(names)
    assert set(names) <= set(CHECKS)
    kernel = next(one for one in findings if one.check == "host/kernel")
    assert kernel.outcome is Outcome.OK


def test_a_port_that_is_taken_fails_unless_it_is_the_agents() -> None:
    with socket.create_server(("127.0.0.1", 0)) as holder:
        taken = f"127.0.0.1:{holder.getsockname()[1]}"
        assert port_findings(taken, "", agent_answers=False).text == f"{taken}: Address already in use"
        assert port_findings("", taken, agent_answers=True).outcome is Outcome.OK
    assert port_findings(taken, "", agent_answers=False).outcome is Outcome.OK
