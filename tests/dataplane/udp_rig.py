"""A data plane with one UDP Service port on loopback, and endpoints and clients made of plain sockets."""

from __future__ import annotations

import asyncio
import contextlib
import socket
from collections.abc import AsyncIterator, Sequence

from msgspec import structs

from tests.build import key, serving_of
from userproxy.core.counters import PortCounters
from userproxy.core.plan import Serving
from userproxy.core.policy import Verdict
from userproxy.dataplane.plane import LocalPlane, PlaneSettings
from userproxy.dataplane.pool import WorkerPool
from userproxy.model import Address, Family, ListenerSpec, family_of

HOSTS = {Family.IPV4: "127.0.0.1", Family.IPV6: "::1"}
SECONDS = 5.0


class UdpEndpoint:
    """Answers each datagram with its name and the datagram, while `answers` is set."""

    def __init__(self, name: bytes, host: str = "127.0.0.1") -> None:
        self.name = name
        self.answers = True
        self.received: list[tuple[bytes, Address]] = []
        self.sock = datagram_socket(host)
        self.sock.bind((host, 0))
        self.address: Address = self.sock.getsockname()[:2]
        asyncio.get_running_loop().add_reader(self.sock.fileno(), self._readable)

    def answer(self) -> None:
        """Answer everything received so far that was not answered, in order."""
        waiting, self.received = self.received, []
        for data, peer in waiting:
            self.sock.sendto(self.name + data, peer)

    def close(self) -> None:
        """Close; who sends here from now on gets ICMP port unreachable."""
        if self.sock.fileno() >= 0:
            asyncio.get_running_loop().remove_reader(self.sock.fileno())
            self.sock.close()

    def _readable(self) -> None:
        with contextlib.suppress(BlockingIOError):
            while True:
                self.received.append(self.sock.recvfrom(1 << 16))
                if self.answers:
                    self.answer()


class UdpRig:
    """One UDP Service port; `address` is where clients send to. `plane` has no worker of its own, or so many."""

    def __init__(self, settings: PlaneSettings, family: Family, workers: int) -> None:
        self.plane: LocalPlane | WorkerPool = (
            WorkerPool(settings, workers) if workers else LocalPlane(settings)
        )
        self.key = key("dns", family=family, protocol="UDP")
        self.spec = ListenerSpec(self.key, HOSTS[family], 0, captured_only=False)
        self.address: Address = ("", 0)

    def serving(self, endpoints: Sequence[Address], verdict: Verdict | None = None) -> Serving:
        """What the plan would say."""
        return serving_of(
            self.key, tuple(endpoints), verdict or (Verdict.CARRY if endpoints else Verdict.DROP)
        )

    async def serve(
        self, *endpoints: UdpEndpoint, verdict: Verdict | None = None, lasting: Sequence[UdpEndpoint] = ()
    ) -> None:
        """Change the endpoints."""
        serving = self.serving([one.address for one in endpoints], verdict)
        lasting_addresses = tuple(one.address for one in lasting)
        await self.plane.open([], [structs.replace(serving, lasting=lasting_addresses)])

    @property
    def counters(self) -> PortCounters:
        """The counters of the Service port."""
        return dict(self.plane.counters())[self.key]


@contextlib.asynccontextmanager
async def udp_rig(
    *endpoints: UdpEndpoint,
    family: Family = Family.IPV4,
    verdict: Verdict | None = None,
    workers: int = 0,
    **settings: object,
) -> AsyncIterator[UdpRig]:
    """A started UdpRig; everything is closed at the end, the endpoints too."""
    made = UdpRig(PlaneSettings(**settings), family, workers)
    await made.plane.start()
    try:
        opened = await made.plane.open(
            [made.spec], [made.serving([one.address for one in endpoints], verdict)]
        )
        assert opened.failures == {}
        made.address = opened.addresses[made.spec]
        yield made
    finally:
        made.plane.stop()
        for one in endpoints:
            one.close()


def datagram_socket(host: str) -> socket.socket:
    """A non-blocking UDP socket of the family of `host`."""
    family = socket.AF_INET6 if family_of(host) is Family.IPV6 else socket.AF_INET
    return socket.socket(family, socket.SOCK_DGRAM | socket.SOCK_NONBLOCK)


def client(address: Address) -> socket.socket:
    """A client's socket, connected: it hears of nobody but `address`."""
    made = datagram_socket(address[0])
    made.connect(address)
    return made


async def answer_to(sock: socket.socket, data: bytes | None = None, seconds: float = SECONDS) -> bytes:
    """Send `data`, if any, and return what comes back. Raises TimeoutError."""
    if data is not None:
        sock.send(data)
    async with asyncio.timeout(seconds):
        return await asyncio.get_running_loop().sock_recv(sock, 1 << 16)


async def is_silent(sock: socket.socket, seconds: float = 0.15) -> bool:
    """Whether nothing comes."""
    try:
        await answer_to(sock, seconds=seconds)
    except TimeoutError:
        return True
    return False
