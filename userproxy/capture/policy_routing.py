"""Marked packets are delivered to this host, whatever address they are for: two rules and a route for each family.

Owns the mark, the rule and the routing table (Documentation/networking/tproxy.rst), by rtnetlink (linux/fib_rules.h). Which
packets carry the mark is decided by `transparent`.
"""

from __future__ import annotations

import errno
import socket
import struct
from collections.abc import Iterable
from typing import NamedTuple

from userproxy.capture.netlink import (
    NETLINK_ROUTE,
    NLM_F_CREATE,
    NLM_F_EXCL,
    Message,
    Netlink,
    attribute,
    meaning,
)
from userproxy.capture.rtnetlink import LOOPBACK
from userproxy.capture.settings import ROUTE_PROTOCOL
from userproxy.errors import CaptureError
from userproxy.model import Family

MARK = 0x1000
"""Bit of the packet mark. kube-proxy has 0x4000 and 0x8000, Cilium 0x0f00, Calico the upper 16 by default."""


class Steering(NamedTuple):
    """Names of a rule and its table: those in use, or those of a probe, which must not touch the former."""

    table: int
    priority: int
    """of the rule: behind that of table local (0), in front of those of CNI plugins that lead to Pods (AWS has one at 512)"""


IN_USE = Steering(7077, 77)
PROBE = Steering(7078, 75)

_RTM_NEWROUTE, _RTM_DELROUTE = 24, 25
_RTM_NEWRULE, _RTM_DELRULE = 32, 33
_ACTION_TABLE = 1
_FRA_INTERFACE, _FRA_PRIORITY, _FRA_MARK, _FRA_TABLE, _FRA_MASK, _FRA_PROTOCOL = 3, 6, 10, 15, 16, 21
_RTA_OIF, _RTA_TABLE = 4, 15
_SCOPE_HOST, _TYPE_LOCAL = 254, 2
_TABLE_MAIN = 254
_HEADER = struct.Struct("=BBBBBBBBI")
"""struct rtmsg (family, destination bits, source bits, tos, table, protocol, scope, type, flags) and struct fib_rule_hdr
(family, destination bits, source bits, tos, table, two reserved, action, flags) have one form."""
_UINT32 = struct.Struct("=I")
_AF = {Family.IPV4: socket.AF_INET, Family.IPV6: socket.AF_INET6}


def install(families: Iterable[Family], steering: Steering = IN_USE) -> bool:
    """Have the rule and the route of each family; return whether any was missing. Raises CaptureError."""
    missing = False
    for family in families:
        # The route first: a rule without it would let the marked packets leave the host.
        for kind, message, what in (
            (_RTM_NEWROUTE, _route(family, steering), "route of table"),
            (_RTM_NEWRULE, _way_back(family, steering), "rule in front of table"),
            (_RTM_NEWRULE, _rule(family, steering), "rule of table"),
        ):
            refused = _execute(Message(kind, NLM_F_CREATE | NLM_F_EXCL, message))
            if refused not in (0, errno.EEXIST):
                raise CaptureError(f"cannot add the {what} {steering.table}: {meaning(refused)}")
            missing |= not refused
    return missing


def remove(families: Iterable[Family], steering: Steering = IN_USE) -> list[str]:
    """Remove rules and routes that are there; return one line for each. Raises CaptureError."""
    removed = []
    for family in families:
        for kind, message, what in (
            (_RTM_DELRULE, _rule(family, steering), "rule"),
            (_RTM_DELRULE, _way_back(family, steering), "rule in front"),
            (_RTM_DELROUTE, _route(family, steering), "route"),
        ):
            refused = _execute(Message(kind, 0, message))
            if not refused:
                removed.append(f"{what} of routing table {steering.table} (IPv{family.value})")
            elif refused not in (errno.ENOENT, errno.ESRCH, errno.EAFNOSUPPORT, errno.EOPNOTSUPP):
                raise CaptureError(f"cannot remove the {what} of table {steering.table}: {meaning(refused)}")
    return removed


def _execute(message: Message) -> int:
    with Netlink(NETLINK_ROUTE) as netlink:
        return netlink.execute([message]).get(0, 0)


def _way_back(family: Family, steering: Steering) -> bytes:
    # Where net.ipv4.conf.*.src_valid_mark is set (WireGuard, Calico), the kernel looks for the way back to the sender of a
    # packet with the packet's mark, and as if it came from lo. It must not find that the sender is this host.
    only_lo = attribute(_FRA_INTERFACE, b"lo\0")
    return _rule(family, Steering(_TABLE_MAIN, steering.priority - 1)) + only_lo


def _rule(family: Family, steering: Steering) -> bytes:
    return (
        _HEADER.pack(_AF[family], 0, 0, 0, 0, 0, 0, _ACTION_TABLE, 0)
        + attribute(_FRA_PRIORITY, _UINT32.pack(steering.priority))
        + attribute(_FRA_MARK, _UINT32.pack(MARK))
        + attribute(_FRA_MASK, _UINT32.pack(MARK))
        + attribute(_FRA_TABLE, _UINT32.pack(steering.table))
        + attribute(_FRA_PROTOCOL, bytes([ROUTE_PROTOCOL]))
    )


def _route(family: Family, steering: Steering) -> bytes:
    scope = _SCOPE_HOST if family is Family.IPV4 else 0
    return (
        _HEADER.pack(_AF[family], 0, 0, 0, 0, ROUTE_PROTOCOL, scope, _TYPE_LOCAL, 0)
        + attribute(_RTA_OIF, _UINT32.pack(LOOPBACK))
        + attribute(_RTA_TABLE, _UINT32.pack(steering.table))
    )
