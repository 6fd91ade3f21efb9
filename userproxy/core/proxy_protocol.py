"""The PROXY protocol: the header that tells an endpoint who its client is, and which address that client used.

Owns the bytes of both versions, for TCP. When a header is sent is the data plane's business. Version 2 is made without TLVs.
Source: HAProxy's doc/proxy-protocol.txt, 2.1 (version 1, a line of text) and 2.2 (version 2, binary).
"""

from __future__ import annotations

import ipaddress

from userproxy.model import Address

SIGNATURE = b"\r\n\r\n\0\r\nQUIT\n"
"""The first 12 bytes of version 2; no other protocol begins with them."""
LONGEST = 107
"""Bytes of the longest header: version 1 with two IPv6 addresses; version 2 has 28 or 52."""

_COMMAND_PROXY = b"\x21"
_TCP_IPV4, _TCP_IPV6, _UNSPECIFIED = b"\x11", b"\x21", b"\x00"


def header(version: int, client: Address, destination: Address) -> bytes:
    """Return the header of `version` 1 or 2 for a connection from `client` to `destination`, the address it had dialled.

    The zone of a link-local address (`fe80::1%eth0`) is left out: it means nothing on another host. When the two are not of
    one IP family, which only a broken NAT can bring about, the header says that the addresses are unknown.
    """
    source, target = _ip(client), _ip(destination)
    if version == 1:
        if source.version != target.version:
            return b"PROXY UNKNOWN\r\n"
        return f"PROXY TCP{source.version} {source} {target} {client[1]} {destination[1]}\r\n".encode()
    if source.version != target.version:
        return SIGNATURE + _COMMAND_PROXY + _UNSPECIFIED + b"\0\0"
    family = _TCP_IPV4 if source.version == 4 else _TCP_IPV6
    addresses = source.packed + target.packed + client[1].to_bytes(2) + destination[1].to_bytes(2)
    return SIGNATURE + _COMMAND_PROXY + family + len(addresses).to_bytes(2) + addresses


def _ip(address: Address) -> ipaddress.IPv4Address | ipaddress.IPv6Address:
    return ipaddress.ip_address(address[0].partition("%")[0])
