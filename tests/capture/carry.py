"""Sends real connections through a capture.

Owns the frontends that the tests of capture use and what "carried" means: a client in a namespace connects to the frontend,
and bytes pass both ways over the connection that the listener accepted.
"""

from __future__ import annotations

import socket
import struct
from collections.abc import Iterator
from contextlib import contextmanager

from tests.netns import Namespace, Network
from userproxy.capture.choose import Capture
from userproxy.capture.iptables_program import IptablesProgram
from userproxy.capture.local_route import LocalRoute
from userproxy.capture.redirect_iptables import RedirectIptables
from userproxy.capture.redirect_nft import RedirectNft
from userproxy.capture.settings import CaptureSettings
from userproxy.model import CaptureEntry, Family, Frontend

FAMILIES = (Family.IPV4, Family.IPV6)
ADDRESS = {Family.IPV4: "10.96.163.26", Family.IPV6: "fd00:96::a31a"}
WAYS = ("nft", "iptables-nft", "iptables-legacy", "route")
REDIRECTS = WAYS[:3]
NODE = CaptureSettings()
SIDECAR = CaptureSettings(sidecar=True)

_AF = {Family.IPV4: socket.AF_INET, Family.IPV6: socket.AF_INET6}
_FREEBIND = {Family.IPV4: (socket.IPPROTO_IP, 15), Family.IPV6: (socket.IPPROTO_IPV6, 78)}
_ORIGINAL_DST = {Family.IPV4: (socket.IPPROTO_IP, 80, 16), Family.IPV6: (socket.IPPROTO_IPV6, 80, 28)}
_TIMEOUT = 3.0


def make(way: str, settings: CaptureSettings = NODE) -> Capture:
    """Return a capture of one of WAYS for both families; nothing is installed yet."""
    if way == "nft":
        return RedirectNft(settings, FAMILIES)
    if way == "route":
        return LocalRoute(settings, FAMILIES)
    return RedirectIptables(settings, FAMILIES, IptablesProgram(way, way.removeprefix("iptables-")))


@contextmanager
def listener_for(
    capture: Capture,
    family: Family = Family.IPV4,
    *,
    settings: CaptureSettings = NODE,
    port: int = 80,
    protocol: str = "TCP",
) -> Iterator[tuple[CaptureEntry, socket.socket]]:
    """Listen where `capture` sends a frontend's packets, in the namespace that this thread is in."""
    frontend = Frontend(ADDRESS[family], port, protocol)
    kind = socket.SOCK_STREAM if protocol == "TCP" else socket.SOCK_DGRAM
    with socket.socket(_AF[family], kind) as listener:
        listener.setsockopt(*_FREEBIND[family], 1)
        redirected = capture.name == "redirect"
        listener.bind((settings.listener_address(family), 0) if redirected else (frontend.address, port))
        if protocol == "TCP":
            listener.listen()
        listener.settimeout(_TIMEOUT)
        yield CaptureEntry(frontend, listener.getsockname()[:2]), listener


def carried(client: Namespace, entry: CaptureEntry, listener: socket.socket) -> str:
    """Connect from `client` to the frontend, pass bytes both ways, and return the client's address as the listener sees it.

    Raises OSError when that does not succeed.
    """
    target = (entry.frontend.address, entry.frontend.port)
    with client.entered(), socket.create_connection(target, timeout=_TIMEOUT) as connection:
        accepted, peer = listener.accept()
        with accepted:
            connection.sendall(b"question")
            assert accepted.recv(100) == b"question"
            accepted.sendall(b"answer")
            assert connection.recv(100) == b"answer"
            if entry.listener != target:
                assert _original_destination(accepted) == target
    return str(peer[0])


def is_carried(client: Namespace, entry: CaptureEntry, listener: socket.socket) -> bool:
    """Return whether a connection is carried; waits only briefly, for where it should not be."""
    target = (entry.frontend.address, entry.frontend.port)
    with client.entered():
        try:
            with socket.create_connection(target, timeout=0.15):
                accepted, _ = listener.accept()
        except OSError:
            return False
        accepted.close()
        return True


def answered(client: Namespace, entry: CaptureEntry, listener: socket.socket) -> str:
    """Send a datagram from `client` to the frontend, answer it, and return the address that the answer came from."""
    family = Family.IPV6 if ":" in entry.frontend.address else Family.IPV4
    with client.entered(), socket.socket(_AF[family], socket.SOCK_DGRAM) as sender:
        sender.settimeout(_TIMEOUT)
        sender.sendto(b"question", (entry.frontend.address, entry.frontend.port))
        data, peer = listener.recvfrom(100)
        assert data == b"question"
        listener.sendto(b"answer", peer)
        data, source = sender.recvfrom(100)
        assert data == b"answer"
    return str(source[0])


def many(count: int, listener: tuple[str, int]) -> list[CaptureEntry]:
    """Return entries for so many addresses of 10.100.0.0/14, one port each."""
    addresses = (f"10.{100 + (number >> 16)}.{number >> 8 & 255}.{number & 255}" for number in range(count))
    return [CaptureEntry(Frontend(address, 80, "TCP"), listener) for address in addresses]


def _original_destination(connection: socket.socket) -> tuple[str, int]:
    family = Family.IPV6 if connection.family == socket.AF_INET6 else Family.IPV4
    level, option, size = _ORIGINAL_DST[family]
    raw = connection.getsockopt(level, option, size)
    start, length = (8, 16) if family is Family.IPV6 else (4, 4)
    address = socket.inet_ntop(connection.family, raw[start : start + length])
    return address, struct.unpack_from("!H", raw, 2)[0]


async def repaired(net: Network, way: str, *damages: tuple[str, ...]) -> None:
    """Set up a capture, do the damage, and check that one repair brings everything back and the next finds nothing."""
    capture = make(way)
    await capture.setup()
    with listener_for(capture) as (entry, listener), listener_for(capture, Family.IPV6) as (six, listener6):
        entries = [entry, six, *many(3, entry.listener)]
        await capture.change(entries, [])
        assert await capture.repair(entries) is False
        for damage in damages:
            net.node.run(*damage)
        assert await capture.repair(entries) is True
        for client in (net.pod, net.node):
            carried(client, entry, listener)
            carried(client, six, listener6)
        assert await capture.repair(entries) is False
    await capture.teardown()
