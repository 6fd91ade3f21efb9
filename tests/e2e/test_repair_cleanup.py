"""What userproxy puts into the kernel: restored when others flush it, removed at the end, and nothing of others is touched."""

from __future__ import annotations

import errno
import re
import signal
import socket
import time

import pytest

from tests.e2e.agent import USERPROXY, Agent
from tests.e2e.child import ROOT
from tests.e2e.client import ask
from tests.e2e.scene import CAPTURES, FRONTEND, Scene, needs_all, scene
from tests.e2e.waiting import until
from tests.netns import Namespace

pytestmark = needs_all

REPAIRED = 5.0
"""Seconds from the flush to the first connection that is carried again."""

NFT_FLUSH = ("nft", "flush", "ruleset")
IPTABLES_FLUSH = ("iptables-nft", "-t", "nat", "-F")
ADDRESS_LOSS = ("ip", "addr", "del", "169.254.77.1/32", "dev", "lo")
ROUTE_FLUSH = ("ip", "route", "flush", "table", "local", "proto", "77")
ROUTE_LOSS = ("ip", "route", "del", "local", FRONTEND[0], "dev", "lo", "table", "local")

LONG_DRAIN = ("--drain-timeout", "60")

DAMAGE = {
    "redirect-nft": [NFT_FLUSH, ADDRESS_LOSS],
    "redirect-iptables": [NFT_FLUSH, IPTABLES_FLUSH, ADDRESS_LOSS],
    "route": [ROUTE_FLUSH, ROUTE_LOSS],
}


@pytest.mark.parametrize("capture", CAPTURES)
def test_back_after_another_tool_flushed(capture: str) -> None:
    with scene() as made, made.agent("--capture", capture) as agent:
        assert _is_carried(made.net.pod)
        whole = _sorted_state(made.net.node)
        for number, command in enumerate(DAMAGE[capture], start=1):
            made.net.node.run(*command)
            until(lambda: _is_carried(made.net.pod, 0.3), REPAIRED)
            until(lambda: agent.status()["capture"]["repairs"] == number)  # noqa: B023 - called here only
            assert _is_carried(made.net.node)
            assert _sorted_state(made.net.node) == whole
        assert agent.metric("userproxy_capture_repairs_total") == len(DAMAGE[capture])
        assert agent.log.count("they are restored") == len(DAMAGE[capture])


@pytest.mark.parametrize(
    ("capture", "default_route"), [*((capture, True) for capture in CAPTURES), ("redirect-nft", False)]
)
def test_nothing_is_left_behind(capture: str, *, default_route: bool) -> None:
    """Neither by `kill -9` and cleanup, nor by SIGTERM; and what others have in the same places stays."""
    with scene(default_route=default_route) as made:
        node = made.net.node
        _install_foreign_things(node)
        before = node.state()
        with made.agent("--capture", capture) as agent:
            assert _is_carried(made.net.pod)
            assert agent.end(signal.SIGKILL) == -signal.SIGKILL
        assert node.state() != before
        assert _cleanup(node) != "nothing of userproxy was found"
        assert node.state() == before
        assert _cleanup(node) == "nothing of userproxy was found"
        with made.agent("--capture", capture) as agent:
            assert _is_carried(made.net.pod)
            assert node.state() != before
            assert agent.end() == 0
        assert node.state() == before


def test_the_next_start_removes_what_a_killed_one_left() -> None:
    """Whatever capture it had: what is left would send packets to ports that nobody listens on."""
    with scene() as made:
        _install_foreign_things(made.net.node)
        before = made.net.node.state()
        for capture in CAPTURES:
            with made.agent("--capture", capture) as agent:
                assert _is_carried(made.net.pod)
                agent.end(signal.SIGKILL)
        with made.agent("--capture", "redirect-nft") as agent:
            assert _is_carried(made.net.pod)
            assert agent.end() == 0
        assert made.net.node.state() == before


@pytest.mark.parametrize("capture", CAPTURES)
def test_kept_capture_refuses_until_the_next_start_takes_over(capture: str) -> None:
    with scene() as made:
        _install_foreign_things(made.net.node)
        before = made.net.node.state()
        with made.agent("--capture", capture, "--keep-capture") as agent:
            assert _is_carried(made.net.pod)
            assert agent.end() == 0
        assert made.net.node.state() != before
        assert _connect(made.net.pod) == _connect(made.net.node) == errno.ECONNREFUSED
        with made.agent("--capture", capture) as agent:
            assert _is_carried(made.net.pod)
            assert agent.end() == 0
        assert made.net.node.state() == before


def test_a_stop_drains_and_a_second_signal_ends_at_once() -> None:
    with scene() as made:
        before = made.net.node.state()
        with made.agent(*LONG_DRAIN) as agent, _open_connection(made) as sock:
            _begin_to_stop(agent)
            assert _connect(made.net.pod) == errno.ECONNREFUSED
            time.sleep(0.5)
            sock.sendall(b"still there?")
            assert sock.recv(100) == b"still there?"
            assert agent.end(seconds=5) == 0
            with pytest.raises(ConnectionResetError):
                sock.recv(1)
        assert made.net.node.state() == before


def test_a_stop_ends_with_the_last_connection() -> None:
    with scene() as made, made.agent(*LONG_DRAIN) as agent:
        with _open_connection(made):
            _begin_to_stop(agent)
            assert agent.process.poll() is None
        assert agent.process.wait(5) == 0


def _begin_to_stop(agent: Agent) -> None:
    agent.process.send_signal(signal.SIGTERM)
    until(lambda: agent.get("/readyz")[0] == 503)


def _is_carried(client: Namespace, seconds: float = 5) -> bool:
    with client.entered():
        try:
            return ask(*FRONTEND, seconds=seconds) in ("a", "b", "c")
        except OSError:
            return False


def _connect(client: Namespace) -> int:
    """Return the error number of a connect(), 0 for success."""
    with client.entered(), socket.socket() as sock:
        sock.settimeout(5)
        return sock.connect_ex(FRONTEND)


def _open_connection(made: Scene) -> socket.socket:
    with made.net.pod.entered():
        sock = socket.create_connection(FRONTEND, timeout=5)
    assert sock.recv(10) in (b"a\n", b"b\n", b"c\n")
    return sock


def _cleanup(node: Namespace) -> str:
    return node.run("env", f"--chdir={ROOT}", *USERPROXY, "cleanup").strip()


def _sorted_state(node: Namespace) -> dict[str, list[str]]:
    """The kernel lists in order of creation, which a repair changes, and counters go on."""
    return {
        what: sorted(re.sub(r"counter packets \d+ bytes \d+", "counter", text).splitlines())
        for what, text in node.state().items()
    }


def _install_foreign_things(node: Namespace) -> None:
    """What looks like ours but is of others: by name, by place, by kind.

    The rules also make the nat tables of iptables-nft: it makes them with their first rule and never removes them.
    """
    node.run("ip", "addr", "add", "169.254.77.2/32", "dev", "lo")
    node.run("ip", "route", "add", "local", "10.101.0.1/32", "dev", "lo", "proto", "static")
    node.run("ip", "route", "add", "10.102.0.0/16", "dev", "pod0", "proto", "78")
    node.run("ip", "rule", "add", "from", "10.103.0.0/16", "table", "77")
    for program in ("iptables-nft", "ip6tables-nft"):
        for chain in ("PREROUTING", "OUTPUT"):
            node.run(program, "-t", "nat", "-A", chain, "-p", "tcp", "--dport", "9", "-j", "ACCEPT")
    node.run(
        "nft",
        "add table inet foreign; add chain inet foreign userproxy; add rule inet foreign userproxy tcp dport 1 accept",
    )
