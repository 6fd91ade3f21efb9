"""IP addresses as texts: what they are and where they lead. Every write of an address asks this several times.

Owns the parsing alone; which addresses may stand where is the matter of each kind.
"""

from __future__ import annotations

import functools
import ipaddress
from typing import TypeAlias

Address: TypeAlias = ipaddress.IPv4Address | ipaddress.IPv6Address

_KEPT = 16_384
"""Addresses remembered, as the same one comes with a Pod, its Endpoints and its slice."""

_LONGEST = 64
"""Letters of an address, also of one that is written out and has a zone."""


def parse(text: str) -> Address | None:
    """Return an address, None for a text that is none."""
    return _parse(text) if len(text) <= _LONGEST else None


@functools.lru_cache(maxsize=_KEPT)
def _parse(text: str) -> Address | None:
    try:
        return ipaddress.ip_address(text)
    except ValueError:
        return None


def canonical(text: str) -> str:
    """Return the one way to write an address, empty for a text that is none."""
    address = parse(text)
    if address is None:
        return ""
    # there is one way only to write an IPv4 address
    return text if address.version == 4 else str(address)


def is_address(text: str) -> bool:
    """Return whether `text` is an IP address as Kubernetes takes it (no leading zeros, no zone)."""
    return parse(text) is not None and "%" not in text


def is_loopback(text: str) -> bool:
    """Return whether a valid address leads to this host alone."""
    address = parse(text)
    return address is not None and address.is_loopback


def unroutable(text: str) -> str:
    """Return why nothing outside this host can be reached at a valid address, empty when it can."""
    address = parse(text)
    return _why_unroutable(address) if address is not None else ""


@functools.lru_cache(maxsize=_KEPT)
def _why_unroutable(address: Address) -> str:
    if address.is_unspecified:
        return "may not be unspecified (0.0.0.0 or ::)"
    if address.is_loopback:
        return "may not be in the loopback range (127.0.0.0/8, ::1/128)"
    if address.is_link_local:
        return "may not be in the link-local range (169.254.0.0/16, fe80::/10)"
    if address.is_multicast:
        return "may not be in the link-local multicast range (224.0.0.0/24, ff02::/10)"
    return ""
