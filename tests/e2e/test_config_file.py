"""A running agent follows its configuration file: a change, SIGHUP, a broken file, and what needs a restart."""

from __future__ import annotations

import json
import signal
from pathlib import Path

from tests.configfile.files import kube_proxy, own
from tests.e2e.agent import Agent, started
from tests.e2e.cluster import CLUSTER_IP, Cluster
from tests.e2e.scene import SERVICE, needs_all
from tests.e2e.waiting import until
from tests.netns import namespace

pytestmark = needs_all


def verdict(agent: Agent) -> str:
    return str(agent.port_status(SERVICE)["verdict"])


def test_the_file_is_followed_while_running(tmp_path: Path) -> None:
    file = tmp_path / "config.yaml"
    theirs = kube_proxy("oomScoreAdj: -999\nhealthzBindAddress: 127.0.0.1\n")
    file.write_text(theirs + "---\n" + own("capture: loopback\nworkers: 1\n"))
    with namespace("host") as host:
        cluster = Cluster(host)
        try:
            cluster.put_service(SERVICE, CLUSTER_IP)
            with started(host, cluster.url, "--config", str(file)) as agent:
                assert "without effect here (the reference says why): oomScoreAdj" in agent.log
                assert verdict(agent) == "drop"

                file.write_text(own("capture: none\nnoEndpoints: reject\nlogFormat: json\nworkers: 1\n"))
                until(lambda: verdict(agent) == "reject")
                until(lambda: "kept until a restart: " in agent.log)
                assert (
                    "changed noEndpoints to 'reject', logFormat to 'json'; kept until a restart: capture"
                    in agent.log
                )

                file.write_text(own("noEndpoints: perhaps\n"))
                until(lambda: "the settings stay as they were" in agent.log)
                assert "field noEndpoints: 'perhaps' cannot be used; write one of drop, reject" in agent.log
                assert verdict(agent) == "reject"

                agent.process.send_signal(signal.SIGHUP)
                until(lambda: agent.log.count("the settings stay as they were") == 2)
                assert json.loads(agent.log.splitlines()[-1])["level"] == "error"
                assert agent.process.poll() is None
        finally:
            cluster.close()


def test_without_a_file_a_hangup_ends_in_order() -> None:
    with namespace("host") as host:
        cluster = Cluster(host)
        try:
            with started(host, cluster.url, "--capture", "loopback", "--workers", "0") as agent:
                assert agent.end(signal.SIGHUP) == 0
                assert "stopping: draining" in agent.log
        finally:
            cluster.close()
