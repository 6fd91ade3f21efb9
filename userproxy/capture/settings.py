"""What a person may decide about capture, and the two facts about the host that follow from it.

Owns the addresses that listeners are bound to and the IP families in use. Which way of capture is taken is decided in
`capture.choose`.
"""

from __future__ import annotations

from pathlib import Path

import msgspec

from userproxy.model import Family

MODES = ("auto", "redirect", "route", "loopback", "none")
"""What a person asks for. `redirect-nft` and `redirect-iptables` are accepted too; they leave out the other program."""

ROUTE_PROTOCOL = 77
"""Marks our routes (rtm_protocol of linux/rtnetlink.h). The kernel does not interpret it; iproute2 names no owner of it."""


class CaptureSettings(msgspec.Struct, frozen=True):
    """The settings of capture."""

    mode: str = "auto"
    """one of MODES, `redirect-nft` or `redirect-iptables`"""
    sidecar: bool = False
    """capture only what this network namespace itself sends; listeners are on the loopback addresses"""
    proxy_address4: str = "169.254.77.1"
    """address of our own that IPv4 listeners are bound to; added to `lo` when no interface has it"""
    proxy_address6: str = "fd77:7573:6572::1"
    """the same for IPv6"""
    transparent: bool = False
    """endpoints shall see the client's own address: steer their answers here"""
    workers: bool = True
    """whether dials are made by worker processes"""
    ipv6: bool | None = None
    """whether IPv6 frontends are captured; None: when the host has IPv6 and the chosen way supports it"""

    def listener_address(self, family: Family) -> str:
        """Return the address that listeners of `family` are bound to in redirect and none mode."""
        if self.sidecar:
            return "::1" if family is Family.IPV6 else "127.0.0.1"
        return self.proxy_address6 if family is Family.IPV6 else self.proxy_address4


def host_has_ipv6() -> bool:
    """Return whether `lo` of this network namespace has an IPv6 address, so that IPv6 listeners are possible."""
    try:
        lines = Path("/proc/net/if_inet6").read_text("ascii").splitlines()
    except OSError:  # IPv6 is compiled out, or disabled at boot
        return False
    return any(line.split()[-1:] == ["lo"] for line in lines)
