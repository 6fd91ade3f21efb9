"""Addresses on `lo`, local routes and route lookups, by rtnetlink (linux/rtnetlink.h, rtnetlink(7)).

Owns the messages and which of them count as success. Our routes are of type local, in table local, and carry
ROUTE_PROTOCOL; no other route is ever deleted, because the kernel compares the protocol on deletion.
"""

from __future__ import annotations

import errno
import ipaddress
import socket
import struct
import time
from collections.abc import Collection, Iterable
from types import TracebackType
from typing import NamedTuple, TypeAlias

from userproxy.capture.netlink import (
    NETLINK_ROUTE,
    NLM_F_CREATE,
    NLM_F_EXCL,
    Message,
    Netlink,
    attribute,
    attributes,
    meaning,
)
from userproxy.capture.settings import ROUTE_PROTOCOL
from userproxy.errors import CaptureError
from userproxy.model import Family, family_of

Prefix: TypeAlias = tuple[Family, int, int]
"""Destination of a route: family, prefix length, and the leading bits of that length as a number."""

LOOPBACK = 1
"""Interface index of `lo` in every network namespace (LOOPBACK_IFINDEX in the kernel)."""

_RTM_NEWADDR, _RTM_DELADDR, _RTM_GETADDR = 20, 21, 22
_RTM_NEWROUTE, _RTM_DELROUTE, _RTM_GETROUTE = 24, 25, 26
_TABLE_MAIN, _TABLE_LOCAL = 254, 255
_SCOPE_UNIVERSE, _SCOPE_HOST = 0, 254
_TYPE_UNICAST, _TYPE_LOCAL = 1, 2
_FLAG_CLONED = 0x200
_IFA_F_NODAD = 0x02
_IFA_ADDRESS, _IFA_LOCAL, _IFA_CACHEINFO = 1, 2, 6
_DEPRECATED = struct.pack("=IIII", 0, 0xFFFFFFFF, 0, 0)
"""struct ifa_cacheinfo: preferred for 0 s, valid for ever."""
_RTA_DST, _RTA_OIF, _RTA_TABLE = 1, 4, 15

_ADDRESS = struct.Struct("=BBBBI")
"""struct ifaddrmsg: family, prefix length, flags, scope, interface index."""
_ROUTE = struct.Struct("=BBBBBBBBI")
"""struct rtmsg: family, destination bits, source bits, tos, table, protocol, scope, type, flags."""
_UINT32 = struct.Struct("=I")

_AF = {Family.IPV4: socket.AF_INET, Family.IPV6: socket.AF_INET6}
_FAMILY = {int(number): family for family, number in _AF.items()}
_LOCAL_TRIES, _LOCAL_PAUSE = 500, 0.001
"""Looks, and seconds between them, until an address that was added counts as local; it takes about one millisecond."""
_BITS = {Family.IPV4: 32, Family.IPV6: 128}


class HostAddress(NamedTuple):
    """An address of an interface of this network namespace."""

    address: str
    interface: int


class RtNetlink:
    """A conversation with rtnetlink, for one task. A context manager; every method may raise CaptureError."""

    def __init__(self) -> None:
        self._netlink = Netlink(NETLINK_ROUTE)

    def __enter__(self) -> RtNetlink:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._netlink.__exit__(kind, error, trace)

    def require_permission(self) -> None:
        """Raise CaptureError unless this process may change addresses and routes."""
        # Rights are looked at before anything else, and no family of routes has the number 0.
        request = Message(_RTM_DELROUTE, 0, bytes([socket.AF_UNSPEC]))
        if self._netlink.execute([request]).get(0, 0) == errno.EPERM:
            raise CaptureError(f"cannot change addresses and routes: {meaning(errno.EPERM)}")

    def addresses(self) -> list[HostAddress]:
        """Return every address of every interface."""
        answers = self._netlink.dump(Message(_RTM_GETADDR, 0, _ADDRESS.pack(socket.AF_UNSPEC, 0, 0, 0, 0)))
        found: list[HostAddress] = []
        for answer in answers:
            if answer.type != _RTM_NEWADDR or len(answer.payload) < _ADDRESS.size:
                continue
            family, _, _, _, interface = _ADDRESS.unpack_from(answer.payload)
            fields = attributes(answer.payload, _ADDRESS.size)
            # On a point-to-point IPv4 interface IFA_ADDRESS is the peer; IPv6 has no IFA_LOCAL there.
            raw = fields.get(_IFA_LOCAL) or fields.get(_IFA_ADDRESS)
            if raw is not None and family in _FAMILY:
                found.append(HostAddress(socket.inet_ntop(family, raw), interface))
        return found

    def add_address(self, address: str) -> None:
        """Add an address with a full-length prefix to `lo`, and return when it is in force; no error when `lo` has it.

        The kernel does not take it as the source address of what leaves the host: its scope is host for IPv4, and for IPv6,
        which has no scopes, it is marked as deprecated, so that any other address is preferred (RFC 6724, rule 3).
        """
        request = self._address_message(_RTM_NEWADDR, NLM_F_CREATE | NLM_F_EXCL, address)
        self._single(request, (errno.EEXIST,), f"cannot add address {address} to lo")
        # For IPv6 a kernel worker makes the address local a moment later; a SYN sent before that is lost.
        for _ in range(_LOCAL_TRIES):
            if self._is_local(address):
                return
            time.sleep(_LOCAL_PAUSE)
        raise CaptureError(f"address {address} was added to lo but did not become local")

    def delete_address(self, address: str) -> None:
        """Delete an address from `lo`; no error when `lo` does not have it."""
        request = self._address_message(_RTM_DELADDR, 0, address)
        self._single(request, (errno.EADDRNOTAVAIL,), f"cannot delete address {address} from lo")

    def local_routes(self) -> set[str]:
        """Return the addresses that we hold a local route for."""
        found: set[str] = set()
        for header, fields in self._dump_routes(_TABLE_LOCAL, _TYPE_LOCAL, ROUTE_PROTOCOL):
            family = _FAMILY[header[0]]
            if header[1] == _BITS[family] and _RTA_DST in fields:
                found.add(socket.inet_ntop(header[0], fields[_RTA_DST]))
        return found

    def add_local_routes(self, addresses: Collection[str]) -> set[str]:
        """Make each address local to this host by a route; return those that were local before, by whatever route.

        All are tried, then CaptureError is raised when one failed.
        """
        refused = self._routes(_RTM_NEWROUTE, NLM_F_CREATE | NLM_F_EXCL, addresses)
        existing = {address for address, number in refused.items() if number == errno.EEXIST}
        _raise_first(refused, (errno.EEXIST,), "cannot add a local route for")
        return existing

    def delete_local_routes(self, addresses: Collection[str]) -> None:
        """Delete our local route of each address; no error where there is none. All are tried."""
        refused = self._routes(_RTM_DELROUTE, 0, addresses)
        _raise_first(refused, (errno.ESRCH, errno.ENOENT), "cannot delete the local route for")

    def unreachable(self, addresses: Iterable[str]) -> set[str]:
        """Return those addresses that connect() would refuse at once, for want of a route."""
        listed = list(addresses)
        answers = self._netlink.query([_lookup(address) for address in listed])
        return {address for address, answer in zip(listed, answers, strict=True) if isinstance(answer, int)}

    def main_prefixes(self) -> set[Prefix]:
        """Return the destinations of all unicast routes of table main."""
        found: set[Prefix] = set()
        for header, fields in self._dump_routes(_TABLE_MAIN, _TYPE_UNICAST, 0):
            family = _FAMILY[header[0]]
            number = int.from_bytes(fields.get(_RTA_DST, b""), "big")
            found.add((family, header[1], number >> (_BITS[family] - header[1])))
        return found

    def _is_local(self, address: str) -> bool:
        answer = self._netlink.query([_lookup(address)])[0]
        return not isinstance(answer, int) and _ROUTE.unpack_from(answer.payload)[7] == _TYPE_LOCAL

    def _dump_routes(
        self, table: int, kind: int, protocol: int
    ) -> Iterable[tuple[tuple[int, ...], dict[int, bytes]]]:
        for family in (socket.AF_INET, socket.AF_INET6):
            asked = _ROUTE.pack(family, 0, 0, 0, table, protocol, 0, kind, 0)
            for answer in self._netlink.dump(Message(_RTM_GETROUTE, 0, asked)):
                if answer.type != _RTM_NEWROUTE or len(answer.payload) < _ROUTE.size:
                    continue
                header = _ROUTE.unpack_from(answer.payload)
                # Kernels before 4.20 do not filter, so all of it is checked again.
                wanted = header[0] == family and header[4] == table and header[7] == kind
                if wanted and not header[8] & _FLAG_CLONED and (not protocol or header[5] == protocol):
                    yield header, attributes(answer.payload, _ROUTE.size)

    def _routes(self, kind: int, flags: int, addresses: Collection[str]) -> dict[str, int]:
        listed = list(addresses)
        tail = attribute(_RTA_OIF, _UINT32.pack(LOOPBACK)) + attribute(_RTA_TABLE, _UINT32.pack(_TABLE_LOCAL))
        requests = [Message(kind, flags, _local_route(address) + tail) for address in listed]
        refused = self._netlink.execute(requests)
        return {listed[index]: number for index, number in refused.items()}

    def _address_message(self, kind: int, flags: int, address: str) -> Message:
        family = family_of(address)
        packed = _pack(address)
        no_dad = _IFA_F_NODAD if family is Family.IPV6 else 0
        header = _ADDRESS.pack(_AF[family], _BITS[family], no_dad, _SCOPE_HOST, LOOPBACK)
        fields = attribute(_IFA_LOCAL, packed) + attribute(_IFA_ADDRESS, packed)
        if family is Family.IPV6:
            fields += attribute(_IFA_CACHEINFO, _DEPRECATED)
        return Message(kind, flags, header + fields)

    def _single(self, request: Message, accepted: tuple[int, ...], failure: str) -> None:
        number = self._netlink.execute([request]).get(0, 0)
        if number and number not in accepted:
            raise CaptureError(f"{failure}: {meaning(number)}")


def covered(addresses: Iterable[str], prefixes: Collection[Prefix]) -> set[str]:
    """Return those addresses that lie in one of `prefixes`."""
    lengths = {family: sorted({bits for kind, bits, _ in prefixes if kind is family}) for family in Family}
    found: set[str] = set()
    for address in addresses:
        family = family_of(address)
        number = int(ipaddress.ip_address(address))
        if any((family, bits, number >> (_BITS[family] - bits)) in prefixes for bits in lengths[family]):
            found.add(address)
    return found


def _pack(address: str) -> bytes:
    return socket.inet_pton(_AF[family_of(address)], address)


def _destination(address: str) -> bytes:
    return attribute(_RTA_DST, _pack(address))


def _route_header(address: str, table: int, protocol: int, scope: int, kind: int) -> bytes:
    family = family_of(address)
    return _ROUTE.pack(_AF[family], _BITS[family], 0, 0, table, protocol, scope, kind, 0)


def _lookup(address: str) -> Message:
    return Message(_RTM_GETROUTE, 0, _route_header(address, 0, 0, 0, 0) + _destination(address))


def _local_route(address: str) -> bytes:
    # IPv6 knows no scopes for routes; a deletion with one would not match.
    scope = _SCOPE_UNIVERSE if ":" in address else _SCOPE_HOST
    return _route_header(address, _TABLE_LOCAL, ROUTE_PROTOCOL, scope, _TYPE_LOCAL) + _destination(address)


def _raise_first(refused: dict[str, int], accepted: tuple[int, ...], failure: str) -> None:
    failed = [(address, number) for address, number in refused.items() if number not in accepted]
    if failed:
        address, number = failed[0]
        more = f" and {len(failed) - 1} more" if len(failed) > 1 else ""
        raise CaptureError(f"{failure} {address}{more}: {meaning(number)}")
