"""Addresses in objects of the API server: which are usable, and how bad ones are shown.

Owns the check of every address that comes from outside. Knows no field names.
"""

from __future__ import annotations

from socket import AF_INET, AF_INET6, inet_ntop, inet_pton

import msgspec

from userproxy.model import Family


def usable_address(text: str, family: Family) -> str | None:
    """Return `text` in canonical form, or None when it is no usable unicast address of `family`.

    Refused besides bad syntax: leading zeros (decimal for kube-proxy, octal for others: nobody can know what was meant),
    IPv4-mapped IPv6 (the families never mix), multicast, and the unspecified address, which would mean this host.
    """
    try:
        if family is Family.IPV4:
            # inet_pton accepts the canonical form only, so the text can stay as it is.
            return text if 0 < inet_pton(AF_INET, text)[0] < 224 else None
        packed = inet_pton(AF_INET6, text)
    except (OSError, ValueError):
        return None
    if packed[0] == 0xFF or packed == bytes(16) or packed.startswith(b"\0" * 10 + b"\xff\xff"):
        return None
    return inet_ntop(AF_INET6, packed)


def quoted(text: str) -> str:
    """Return outside text in quotes, bounded and without control characters, fit for one line of a log."""
    return msgspec.json.encode(text[:64]).decode()
