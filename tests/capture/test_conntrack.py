"""Conntrack entries of UDP flows that predate a redirect or outlive it, in real namespaces."""

from __future__ import annotations

import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from tests.capture.carry import ADDRESS, FAMILIES, REDIRECTS, listener_for, make
from tests.netns import Namespace, needs_netns, node_with_pods
from userproxy.capture import conntrack
from userproxy.capture.conntrack import StaleFlows
from userproxy.capture.netlink import NETLINK_NETFILTER, Netlink
from userproxy.model import CaptureEntry, Family, Frontend

UNPRIVILEGED = """
import asyncio, concurrent.futures.thread, logging, os, sys
from userproxy.capture.conntrack import StaleFlows
from userproxy.model import CaptureEntry, Frontend
logging.basicConfig(stream=sys.stdout, format="%(message)s")
async def main():
    stale = StaleFlows()
    for _ in range(2):
        await stale.forget([CaptureEntry(Frontend("10.96.0.10", 53, "UDP"), ("169.254.77.1", 20001))])
os.setuid(65534)
asyncio.run(main())
"""

pytestmark = [pytest.mark.netns, needs_netns]


@contextmanager
def busy_client(pod: Namespace, family: Family) -> Iterator[socket.socket]:
    """A client that uses one socket for all its questions to the frontend."""
    with pod.entered():
        sender = socket.socket(
            socket.AF_INET6 if family is Family.IPV6 else socket.AF_INET, socket.SOCK_DGRAM
        )
    with sender:
        sender.settimeout(3)
        sender.connect((ADDRESS[family], 53))
        yield sender


def is_answered(sender: socket.socket, listener: socket.socket, seconds: float = 5) -> bool:
    """Return whether a question reaches the listener in so many seconds, and its answer the client."""
    listener.settimeout(seconds)
    sender.send(b"question")
    try:
        _, peer = listener.recvfrom(100)
    except TimeoutError:
        return False
    listener.sendto(b"answer", peer)
    return sender.recv(100) == b"answer"


@pytest.mark.parametrize("way", REDIRECTS[:2])
@pytest.mark.parametrize("family", FAMILIES)
async def test_row_1_11_1_a_busy_client_is_redirected_when_its_frontend_is_captured_and_after_a_repair(
    way: str, family: Family
) -> None:
    with node_with_pods() as net, net.node.entered():
        capture = make(way)
        await capture.setup()
        try:
            with (
                listener_for(capture, family, port=53, protocol="UDP") as (entry, listener),
                listener_for(capture, family, port=53, protocol="UDP") as (moved, other),
                busy_client(net.pod, family) as client,
            ):
                client.send(b"into the void")
                assert not is_answered(client, listener, 0.1)
                await capture.change([entry], [])
                assert is_answered(client, listener)
                # The frontend gets another listener, as after a restart of the agent.
                await capture.change([moved], [entry])
                assert is_answered(client, other)
                net.node.run("nft", "flush", "ruleset")
                # (an entry with NAT stays right without the rules, so a new client is needed to make a wrong one)
                with busy_client(net.pod, family) as second:
                    assert not is_answered(second, other, 0.1)
                    assert await capture.repair([moved]) is True
                    assert is_answered(second, other)
                assert is_answered(client, other)
        finally:
            await capture.teardown()


def destinations(family: Family = Family.IPV4) -> set[tuple[str, int]]:
    """Where the UDP flows that conntrack knows of wanted to go."""
    with Netlink(NETLINK_NETFILTER) as netlink:
        found = [conntrack.flow_of(entry, family) for entry in netlink.dump(conntrack.dump_request(family))]
    return {flow.original.destination for flow in found if flow is not None}


@pytest.mark.parametrize("others", [0, 20])
async def test_row_1_11_5_only_udp_flows_to_the_given_frontends_are_forgotten(others: int) -> None:
    """With a few frontends the kernel is asked for each, with many for all of UDP."""
    with node_with_pods() as net, net.node.entered():
        capture = make("nft")
        await capture.setup()
        try:
            with net.pod.entered(), socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sender:
                targets = [("10.96.0.1", 53), ("10.96.0.1", 54), ("10.96.0.2", 53), ("10.96.0.3", 53)]
                for target in targets:
                    sender.sendto(b"x", target)
            assert destinations() == set(targets)
            with Netlink(NETLINK_NETFILTER) as netlink:
                asked = netlink.dump(conntrack.dump_request(Family.IPV4, targets[1]))
            found = [conntrack.flow_of(entry, Family.IPV4) for entry in asked]
            assert targets[1] in [flow.original.destination for flow in found]
            listener = ("169.254.77.1", 20001)
            added = CaptureEntry(Frontend("10.96.0.1", 53, "UDP"), listener)
            tcp = CaptureEntry(Frontend("10.96.0.2", 53, "TCP"), listener)
            released = CaptureEntry(Frontend("10.96.0.3", 53, "UDP"), listener)
            absent = [CaptureEntry(Frontend(f"10.97.0.{n}", 53, "UDP"), listener) for n in range(others)]
            await StaleFlows().forget([added, tcp, *absent], [released])
            assert destinations() == {("10.96.0.1", 54), ("10.96.0.2", 53)}
        finally:
            await capture.teardown()


def test_one_warning_where_it_is_not_permitted() -> None:
    done = subprocess.run(
        [sys.executable, "-c", UNPRIVILEGED],
        capture_output=True,
        text=True,
        check=True,
        timeout=20,
    )
    [line] = done.stdout.splitlines()
    assert "conntrack entries of UDP flows cannot be deleted" in line
    assert "Operation not permitted" in line
