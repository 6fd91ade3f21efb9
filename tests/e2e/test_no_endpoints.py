"""What a client meets while a Service has no usable endpoint: silence until one is ready, or a refusal, as is asked for."""

from __future__ import annotations

import errno
import select
import socket
import time
from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from tests.e2e.agent import Agent
from tests.e2e.scene import SERVICE, Scene, needs_all, scene
from tests.e2e.waiting import until
from tests.netns import Namespace

pytestmark = needs_all

OTHER = "other-service"
OTHER_IP = "10.96.163.27"
ANNOTATION = "userproxy.dev/no-endpoints"
SILENCE = 1.5
"""Seconds; the client's second SYN is sent after one."""
CAPTURES = ("redirect-nft", "route", "loopback")

Address = tuple[str, int]


@pytest.mark.parametrize("capture", CAPTURES)
def test_scaled_to_zero_and_up_again(capture: str) -> None:
    """A client that came while there was nothing is connected by the very same connect()."""
    with scene() as made, made.agent("--capture", capture) as agent:
        made.cluster.put_service(OTHER, OTHER_IP, annotations={ANNOTATION: "reject"})
        client = made.net.node if capture == "loopback" else made.net.pod
        until(lambda: _verdict(agent, OTHER) == "reject")
        _scale(made, agent, up=False)
        _is_refused_at_once(client, agent.frontend(OTHER))
        for service, action in ((SERVICE, "drop"), (OTHER, "reject")):
            assert agent.metric("userproxy_no_endpoints_listeners", service=service, action=action) == 1
        with _connecting(client, agent.frontend(SERVICE)) as sock:
            _is_silent(made.net.pod if client is made.net.pod else None, sock)
            _scale(made, agent, up=True)
            _becomes_connected(sock)
            assert sock.recv(10) in (b"a\n", b"b\n", b"c\n")


@pytest.mark.parametrize("capture", CAPTURES)
def test_refused_by_default_and_dropped_by_annotation(capture: str) -> None:
    with scene() as made, made.agent("--capture", capture, "--no-endpoints", "reject") as agent:
        made.cluster.put_service(OTHER, OTHER_IP, annotations={ANNOTATION: "drop"})
        client = made.net.node if capture == "loopback" else made.net.pod
        until(lambda: _verdict(agent, OTHER) == "drop")
        _scale(made, agent, up=False)
        _is_refused_at_once(client, agent.frontend(SERVICE))
        with _connecting(client, agent.frontend(OTHER)) as sock:
            assert not _happened(sock, 0.5)
        _scale(made, agent, up=True)
        with client.entered(), socket.create_connection(agent.frontend(SERVICE), timeout=5) as sock:
            assert sock.recv(10) in (b"a\n", b"b\n", b"c\n")


def test_the_annotation_is_followed_when_it_changes() -> None:
    with scene() as made, made.agent() as agent:
        _scale(made, agent, up=False)
        made.cluster.put_service(SERVICE, annotations={ANNOTATION: "reject"})
        until(lambda: _verdict(agent, SERVICE) == "reject")
        _is_refused_at_once(made.net.pod, agent.frontend(SERVICE))
        made.cluster.put_service(SERVICE)
        until(lambda: _verdict(agent, SERVICE) == "drop")
        with _connecting(made.net.pod, agent.frontend(SERVICE)) as sock:
            assert not _happened(sock, 0.5)


def _verdict(agent: Agent, service: str) -> str:
    found = [one for one in agent.status()["services"] if one["name"] == service]
    return str(found[0]["ports"][0]["verdict"]) if found else ""


def _scale(made: Scene, agent: Agent, *, up: bool) -> None:
    made.cluster.put_slice(SERVICE, *(made.addresses.values() if up else ()))
    until(lambda: (_verdict(agent, SERVICE) == "carry") == up)


@contextmanager
def _connecting(client: Namespace, address: Address) -> Iterator[socket.socket]:
    """A socket whose connect() is under way."""
    with client.entered():
        sock = socket.socket()
    with sock:
        sock.setblocking(False)
        assert sock.connect_ex(address) == errno.EINPROGRESS
        yield sock


def _happened(sock: socket.socket, seconds: float) -> bool:
    """Whether connect() came to any end within `seconds`."""
    return bool(select.select([], [sock], [], seconds)[1])


def _is_silent(pod: Namespace | None, sock: socket.socket) -> None:
    """Nothing at all comes back: no SYN+ACK, no RST, no ICMP."""
    before = _received(pod) if pod else ""
    assert not _happened(sock, SILENCE)
    assert (_received(pod) if pod else "") == before


def _received(pod: Namespace) -> str:
    """The kernel's counters of TCP segments and ICMP messages that came in."""
    lines = pod.run("cat", "/proc/net/snmp").splitlines()
    found: dict[str, str] = {}
    for names, values in zip(lines[::2], lines[1::2], strict=True):
        kind, *keys = names.split()
        found |= {kind + key: value for key, value in zip(keys, values.split()[1:], strict=True)}
    return f"{found['Tcp:InSegs']} segments, {found['Icmp:InMsgs']} messages"


def _becomes_connected(sock: socket.socket) -> None:
    assert _happened(sock, 10), "the client did not connect within 10 s of the first ready endpoint"
    assert sock.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR) == 0
    sock.setblocking(True)
    sock.settimeout(5)


def _is_refused_at_once(client: Namespace, address: Address) -> None:
    """ECONNREFUSED within 50 ms; the best of three, for the machine may be loaded."""
    times = []
    for _ in range(3):
        with client.entered(), socket.socket() as sock:
            sock.settimeout(5)
            began = time.monotonic()
            assert sock.connect_ex(address) == errno.ECONNREFUSED
            times.append(time.monotonic() - began)
    assert min(times) < 0.05
