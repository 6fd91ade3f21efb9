"""Trials against real sockets, without an agent to ask: connected, refused, reset, silent; datagrams; what a Pod tries.

With an agent and from a namespace: tests/cli/test_connectivity.py.
"""

from __future__ import annotations

import contextlib
import socket
from collections.abc import Iterator

import pytest

from tests.dataplane.rig import closed_port, echo, endpoint, reset
from userproxy.connectivity import Attempts, pod_trials
from userproxy.core.connectivity import Outcome, Result, Trial
from userproxy.errors import UsageError
from userproxy.model import Address


async def tried(address: Address, protocol: str = "TCP", *, seconds: float = 2.0) -> Result:
    trial = Trial("", "x", "", protocol, "IPv4", "address", *address)
    (result,) = await Attempts(None, seconds).run([trial])
    return result


async def test_a_connection_that_stays_counts() -> None:
    async with endpoint(echo) as address:
        result = await tried(address)
    assert (result.outcome, result.detail) == (Outcome.OK, "connected")
    assert result.seconds > 0


async def test_refused_and_reset_fail() -> None:
    assert (await tried(closed_port())).detail == "connection refused"

    async def end(sock: socket.socket) -> None:
        reset(sock)

    async with endpoint(end) as address:
        result = await tried(address)
    assert (result.outcome, result.detail) == (
        Outcome.FAILED,
        "accepted, then connection reset by peer: no endpoint took it",
    )


async def test_silence_fails_at_the_deadline() -> None:
    with socket.socket() as full:
        full.bind(("127.0.0.1", 0))
        full.listen(0)
        address = full.getsockname()
        # Linux takes one more than the backlog into its queue, then answers no SYN.
        with contextlib.ExitStack() as stack:
            for _ in range(3):
                filler = stack.enter_context(socket.socket())
                filler.setblocking(False)
                filler.connect_ex(address)
            result = await tried(address, seconds=0.1)
    assert (result.outcome, result.detail) == (Outcome.FAILED, "no answer within 0.1 s")


@contextlib.contextmanager
def datagrams() -> Iterator[socket.socket]:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
        sock.bind(("127.0.0.1", 0))
        yield sock


async def test_datagrams_are_unanswered_or_refused() -> None:
    with datagrams() as sock:
        address = sock.getsockname()
        assert (await tried(address, "UDP", seconds=0.1)).outcome is Outcome.UNANSWERED
        assert sock.recv(100) == b""
    assert (await tried(address, "UDP")).detail == "connection refused"


async def test_an_answered_datagram_is_ok() -> None:
    import asyncio

    class Echo(asyncio.DatagramProtocol):
        def connection_made(self, transport: asyncio.BaseTransport) -> None:
            self.transport = transport

        def datagram_received(self, data: bytes, peer: tuple) -> None:
            self.transport.sendto(b"yes", peer)  # type: ignore[attr-defined]

    transport, _ = await asyncio.get_running_loop().create_datagram_endpoint(Echo, ("127.0.0.1", 0))
    try:
        result = await tried(transport.get_extra_info("sockname"), "UDP")
    finally:
        transport.close()
        await asyncio.sleep(0)
    assert (result.outcome, result.detail) == (Outcome.OK, "answered")


async def test_what_is_skipped_is_not_tried() -> None:
    trial = Trial("", "x", "", "TCP", "IPv4", "address", "127.0.0.1", 9, skip="because")
    assert await Attempts(None, 1.0).run([trial]) == [Result(trial, "host", Outcome.SKIPPED, "because")]


def test_a_pod_tries_what_it_is_given() -> None:
    first, second = pod_trials(["10.96.0.1:443", "[fd00::10]:53/udp"], {})
    assert (first.address, first.protocol, first.ip_family) == (("10.96.0.1", 443), "TCP", "IPv4")
    assert (second.address, second.protocol, second.ip_family) == (("fd00::10", 53), "UDP", "IPv6")


def test_a_pod_tries_kubernetes_by_environment_and_name(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("userproxy.connectivity._DNS_NAME", "localhost")
    found = list(pod_trials([], {"KUBERNETES_SERVICE_HOST": "10.96.0.1", "KUBERNETES_SERVICE_PORT": "443"}))
    assert (found[0].address, found[0].kind) == (("10.96.0.1", 443), "environment")
    assert {(one.host, one.kind) for one in found[1:]} >= {("127.0.0.1", "DNS")}


@pytest.mark.parametrize("targets", [[], ["svc/web"], ["10.96.0.1"]])
def test_what_a_pod_cannot_try(targets: list[str]) -> None:
    with pytest.raises(UsageError, match=r"give ADDRESS:PORT|write ADDRESS:PORT"):
        list(pod_trials(targets, {}))
