"""The way back of transparent dials: what endpoints answer to a client's own address is delivered to this host.

Owns one nftables table that marks packets of transparent sockets (`socket transparent`, nft(8)), and by `policy_routing` the
rule that delivers marked packets here. It wraps the capture that was chosen and works beside any of them that needs
CAP_NET_ADMIN. Binding the client's address is the data plane's work; it has CAP_NET_RAW for that and nothing else.
"""

from __future__ import annotations

import socket
from collections.abc import Collection, Sequence
from pathlib import Path
from typing import Protocol

from userproxy.capture import policy_routing
from userproxy.capture.commands import run
from userproxy.capture.leftovers import TRANSPARENT_TABLES
from userproxy.capture.nft_generation import Generation, read_generation
from userproxy.capture.policy_routing import MARK
from userproxy.errors import CaptureError
from userproxy.model import CaptureEntry, Family, Probe

TABLE, PROBE_TABLE = TRANSPARENT_TABLES

_CAP_NET_RAW = 13
_TRANSPARENT = {Family.IPV4: (socket.IPPROTO_IP, 19), Family.IPV6: (socket.IPPROTO_IPV6, 75)}
"""IP_TRANSPARENT and IPV6_TRANSPARENT (linux/in.h, linux/in6.h), which the socket module does not name."""
_AF = {Family.IPV4: socket.AF_INET, Family.IPV6: socket.AF_INET6}


class Wrapped(Protocol):
    """A capture."""

    name: str
    detail: str
    families: tuple[Family, ...]

    async def setup(self) -> None: ...
    async def change(self, add: Sequence[CaptureEntry], remove: Sequence[CaptureEntry]) -> None: ...
    async def repair(self, entries: Collection[CaptureEntry]) -> bool: ...
    async def teardown(self) -> None: ...


class Transparent:
    """A capture, and beside it the way back of transparent dials. Methods raise CaptureError."""

    def __init__(self, capture: Wrapped) -> None:
        self._capture = capture
        self.name = capture.name
        self.detail = f"{capture.detail}, transparent" if capture.detail else "transparent"
        self.families = capture.families
        self._generation = Generation()
        self._listed = ""
        self._is_set_up = False

    async def setup(self) -> None:
        """Set up the capture, then the way back."""
        await self._capture.setup()
        self._is_set_up = True
        policy_routing.install(self.families)
        await self._write()

    async def change(self, add: Sequence[CaptureEntry], remove: Sequence[CaptureEntry]) -> None:
        """Change what is captured; the way back does not depend on it."""
        await self._capture.change(add, remove)

    async def repair(self, entries: Collection[CaptureEntry]) -> bool:
        """Restore what others have removed of both; return whether there was any."""
        repaired = await self._capture.repair(entries)
        if policy_routing.install(self.families):
            repaired = True
        if not self._generation.unchanged():
            generation = read_generation()
            if await self._list() == self._listed:
                self._generation.trust(generation)
            else:
                await self._write()
                repaired = True
        return repaired

    async def teardown(self) -> None:
        """Remove both. Does nothing before `setup`: what is there then may belong to another process."""
        if self._is_set_up:
            await _nft(_deletion(TABLE))
            policy_routing.remove(self.families)
        await self._capture.teardown()

    async def _write(self) -> None:
        await _nft(rules(TABLE))
        generation = read_generation()
        self._listed = await self._list()
        self._generation.trust(generation)

    async def _list(self) -> str:
        try:
            return await run(["nft", "list", "table", "inet", TABLE])
        except CaptureError:
            return ""


def rules(table: str) -> str:
    """Return the nft script that makes the table anew: packets of transparent connections get the mark."""
    return (
        f"{_deletion(table)}"
        f"table inet {table} {{\n"
        "  chain prerouting {\n"
        "    type filter hook prerouting priority -150; policy accept;\n"
        f"    meta l4proto tcp socket transparent 1 meta mark set meta mark | {MARK:#x}\n"
        "  }\n"
        "}\n"
    )


async def probe(families: Sequence[Family], *, workers: bool) -> Probe:
    """Try each part that transparent dials need, and undo it. `workers`: they get CAP_NET_RAW from this process.

    No packet is sent: whether answers of endpoints come by this host is the network's business.
    """
    try:
        if workers:
            _require_raw()
        for family in families:
            _require_option(family)
        try:
            policy_routing.install(families, policy_routing.PROBE)
            await _nft(rules(PROBE_TABLE))
            await _nft(_deletion(PROBE_TABLE))
        finally:
            policy_routing.remove(families, policy_routing.PROBE)
    except CaptureError as error:
        return Probe("transparent", usable=False, reason=str(error))
    return Probe("transparent", usable=True, reason="the kernel takes the option, the rule and the mark")


def _require_raw() -> None:
    lines = Path("/proc/self/status").read_text().splitlines()
    (permitted,) = [int(line.split()[1], 16) for line in lines if line.startswith("CapPrm:")]
    if not permitted >> _CAP_NET_RAW & 1:
        raise CaptureError(
            "workers need CAP_NET_RAW to bind a client's address: run as root or add the capability, or use --workers 0"
        )


def _require_option(family: Family) -> None:
    with socket.socket(_AF[family], socket.SOCK_STREAM) as trial:
        try:
            trial.setsockopt(*_TRANSPARENT[family], 1)
        except OSError as error:
            raise CaptureError(
                f"the kernel refuses IP_TRANSPARENT: {error.strerror}; run as root or with CAP_NET_ADMIN"
            ) from error


def _deletion(table: str) -> str:
    return f"add table inet {table}\ndelete table inet {table}\n"


async def _nft(script: str) -> None:
    await run(["nft", "-f", "-"], script)
