"""Conntrack entries of UDP flows that predate a redirect, or outlive it: deleted, so that the next datagram meets the rules.

Owns the messages of ctnetlink (linux/netfilter/nfnetlink_conntrack.h) and the choice of entries. NAT decides with the first
packet of a flow only; a busy client, a DNS resolver say, would keep its old way for as long as it is busy. Only UDP entries
whose original destination is one of our frontends are touched.
"""

from __future__ import annotations

import asyncio
import errno
import logging
import socket
import struct
from collections.abc import Iterable, Mapping
from typing import NamedTuple

from userproxy.capture.netlink import NETLINK_NETFILTER, Message, Netlink, attribute, attributes, meaning
from userproxy.errors import CaptureError
from userproxy.model import Address, CaptureEntry, Family, family_of

log = logging.getLogger(__name__)

_GET = 1 << 8 | 1
"""NFNL_SUBSYS_CTNETLINK and IPCTNL_MSG_CT_GET"""
_DELETE = 1 << 8 | 2
_NFGENMSG = struct.Struct("=BBH")
_AF = {Family.IPV4: socket.AF_INET, Family.IPV6: socket.AF_INET6}
_NESTED = 0x8000

_CTA_TUPLE_ORIG = 1
_CTA_TUPLE_REPLY = 2
_CTA_ID = 12
_CTA_ZONE = 18
_CTA_FILTER = 25
_CTA_TUPLE_IP = 1
_CTA_TUPLE_PROTO = 2
_CTA_IP_SRC = {Family.IPV4: 1, Family.IPV6: 3}
_CTA_IP_DST = {Family.IPV4: 2, Family.IPV6: 4}
_CTA_PROTO_NUM = 1
_CTA_PROTO_SRC_PORT = 2
_CTA_PROTO_DST_PORT = 3
_CTA_FILTER_ORIG_FLAGS = 1
_FILTER_IP_DST, _FILTER_PROTO_NUM, _FILTER_DST_PORT = 1 << 1, 1 << 3, 1 << 5
"""CTA_FILTER_F_CTA_... (net/netfilter/nf_internals.h)"""
_FEW = 8
"""So many frontends are asked for one by one; for more all UDP entries are read (10 µs each)."""
_UDP = b"\x11"


class Direction(NamedTuple):
    """One direction of a flow: who sends, and where to."""

    protocol: bytes
    source: Address
    destination: Address


class TrackedFlow(NamedTuple):
    """A conntrack entry: the direction of its first packet, that of the answers, and the attributes that name it."""

    original: Direction
    reply: Direction
    identity: bytes


class StaleFlows:
    """Forgets UDP flows whose entries contradict the redirects. Warns once when that is not possible here."""

    def __init__(self) -> None:
        self._warned = False

    async def forget(self, add: Iterable[CaptureEntry], remove: Iterable[CaptureEntry] = ()) -> None:
        """Delete entries that do not lead to the listeners of `add`, and all of the frontends of `remove`.

        To be called when the rules are in place: an entry made after that is right.
        """
        wanted: dict[Family, dict[Address, Address | None]] = {}
        for entries, gone in ((remove, True), (add, False)):
            for entry in entries:
                frontend = entry.frontend
                if frontend.protocol == "UDP":
                    of_family = wanted.setdefault(family_of(frontend.address), {})
                    of_family[frontend.address, frontend.port] = None if gone else entry.listener
        if not wanted:
            return
        try:
            # The socket belongs to the namespace of this thread; reading a large table takes long enough for another one.
            with Netlink(NETLINK_NETFILTER) as netlink:
                for family, listeners in wanted.items():
                    count = await asyncio.to_thread(_forget, netlink, family, listeners)
                    if count:
                        log.info("%d UDP flows that went another way are redirected from now on", count)
        except CaptureError as error:
            if not self._warned:
                self._warned = True
                log.warning(
                    "conntrack entries of UDP flows cannot be deleted, so clients that are busy now keep their old way until "
                    "they pause: %s",
                    error,
                )


def _forget(netlink: Netlink, family: Family, listeners: Mapping[Address, Address | None]) -> int:
    """Delete the stale entries of one family and return how many there were. Raises CaptureError."""
    # The kernel walks through its table for each question, which is nothing beside sending a large one here.
    asked = (
        [dump_request(family, one) for one in listeners] if len(listeners) <= _FEW else [dump_request(family)]
    )
    flows = [flow_of(entry, family) for request in asked for entry in netlink.dump(request)]
    header = _NFGENMSG.pack(_AF[family], 0, 0)
    stale = [
        Message(_DELETE, 0, header + flow.identity) for flow in flows if flow and _is_stale(flow, listeners)
    ]
    # One that has ended by itself meanwhile is no failure.
    refused = [code for code in netlink.execute(stale).values() if code != errno.ENOENT]
    if refused:
        raise CaptureError(f"the kernel refuses to delete a conntrack entry: {meaning(refused[0])}")
    return len(stale)


def dump_request(family: Family, destination: Address | None = None) -> Message:
    """Return the request for UDP entries of one family; with a destination for those to it, of IPv6 for those to its port.

    Before Linux 5.8 the kernel sends all entries: it filters nothing.
    """
    flags, address, port = _FILTER_PROTO_NUM, b"", b""
    if destination is not None:
        flags |= _FILTER_DST_PORT
        port = attribute(_CTA_PROTO_DST_PORT, destination[1].to_bytes(2, "big"))
        # An IPv6 address would give all entries but those of this address: ctnetlink_filter_match_tuple takes the result of
        # ipv6_addr_cmp() for equality (seen on Linux 6.18).
        if family is Family.IPV4:
            flags |= _FILTER_IP_DST
            packed = socket.inet_pton(socket.AF_INET, destination[0])
            address = attribute(_CTA_TUPLE_IP | _NESTED, attribute(_CTA_IP_DST[family], packed))
    protocol = attribute(_CTA_TUPLE_PROTO | _NESTED, attribute(_CTA_PROTO_NUM, _UDP) + port)
    wanted = attribute(_CTA_TUPLE_ORIG | _NESTED, address + protocol)
    wanted += attribute(_CTA_FILTER | _NESTED, attribute(_CTA_FILTER_ORIG_FLAGS, struct.pack("=I", flags)))
    return Message(_GET, 0, _NFGENMSG.pack(_AF[family], 0, 0) + wanted)


def flow_of(entry: Message, family: Family) -> TrackedFlow | None:
    """Return what an entry says; None for one without ports."""
    found = attributes(entry.payload, _NFGENMSG.size)
    original = _direction(found.get(_CTA_TUPLE_ORIG, b""), family)
    reply = _direction(found.get(_CTA_TUPLE_REPLY, b""), family)
    if original is None or reply is None:
        return None
    name = attribute(_CTA_TUPLE_ORIG | _NESTED, found[_CTA_TUPLE_ORIG])
    # The number makes sure that this entry is meant, not one that took its place.
    parts = [attribute(kind, found[kind]) for kind in (_CTA_ZONE, _CTA_ID) if kind in found]
    return TrackedFlow(original, reply, b"".join([name, *parts]))


def _is_stale(flow: TrackedFlow, listeners: Mapping[Address, Address | None]) -> bool:
    original = flow.original
    if original.protocol != _UDP or original.destination not in listeners:
        return False
    return flow.reply.source != listeners[original.destination]


def _direction(payload: bytes, family: Family) -> Direction | None:
    parts = attributes(payload, 0)
    addresses = attributes(parts.get(_CTA_TUPLE_IP, b""), 0)
    protocol = attributes(parts.get(_CTA_TUPLE_PROTO, b""), 0)
    try:
        source, destination = (
            (
                socket.inet_ntop(_AF[family], addresses[address[family]]),
                int.from_bytes(protocol[port], "big"),
            )
            for address, port in (
                (_CTA_IP_SRC, _CTA_PROTO_SRC_PORT),
                (_CTA_IP_DST, _CTA_PROTO_DST_PORT),
            )
        )
    except (KeyError, ValueError):  # no ports (ICMP), or not an address
        return None
    return Direction(protocol.get(_CTA_PROTO_NUM, b""), source, destination)
