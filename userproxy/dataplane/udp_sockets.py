"""Making datagram sockets: those of a listener, one for each worker, the one that refuses, and those to endpoints.

Owns every option of UDP sockets. Decides nothing about which socket is wanted (`dataplane.listeners` and `dataplane.udp` do).
"""

from __future__ import annotations

import _socket
import socket
from collections.abc import Iterable, Sequence

import msgspec

from userproxy.core.networks import Instruction
from userproxy.dataplane.sockets import IP_FREEBIND, IPV6_FREEBIND, address_family, filter_packets
from userproxy.model import Address

RECEIVE_BUFFER = 4 * 1024 * 1024
"""Bytes of datagrams that may wait for a busy worker; the default of 208 KiB is full after 270 small ones (768 bytes each)."""
SO_RCVBUFFORCE = 33

_DATAGRAM = _socket.SOCK_DGRAM | _socket.SOCK_NONBLOCK


class UdpSettings(msgspec.Struct, frozen=True):
    """How long flows live without a datagram, in seconds, and how many there may be."""

    timeout: float = 30.0
    """of a flow without answers, or in its first two seconds (net.netfilter.nf_conntrack_udp_timeout)"""
    stream_timeout: float = 120.0
    """of a flow with answers that is still used after two seconds (nf_conntrack_udp_timeout_stream)"""
    max_flows: int = 0
    """flows at once in one worker; 0: what descriptors and port numbers allow (`dataplane.limits`)"""


DEFAULT_UDP = UdpSettings(max_flows=1024)


def datagram_sockets(
    address: str, port: int, count: int, program: Sequence[Instruction], *, shared: bool = False
) -> list[socket.socket]:
    """Return `count` sockets bound to `address` and `port`; the kernel gives each client to one of them (SO_REUSEPORT).

    `program`: a packet filter, none when empty. `shared`: a socket of ours holds the port already.
    Raises OSError as bind() does; unless `shared`, also when another program lets its port be shared.
    """
    made: list[socket.socket] = []
    try:
        for _ in range(count):
            sock = _unbound(address)
            made.append(sock)
            if program:
                filter_packets(sock, program)
            if shared or len(made) > 1:
                sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
            sock.bind((address, port))
            # Only now for the first one: it was bound as if alone, so it failed if anybody else had the port.
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
    except BaseException:
        close_all(made)
        raise
    return made


def refuse(sock: socket.socket) -> None:
    """Make the kernel answer every datagram to `sock` with ICMP port unreachable, while its port stays bound.

    Connected to its own address, it takes datagrams from there only. Connecting takes a socket out of its SO_REUSEPORT group
    for good (seen on Linux 6.18), so one that refused is replaced, not given back. Raises OSError while the address is not
    local yet.
    """
    sock.connect(sock.getsockname())


def connected(endpoint: Address) -> _socket.socket:
    """Return a non-blocking socket connected to `endpoint`: it hears of nobody else, and of ICMP errors. Raises OSError."""
    sock = _socket.socket(_socket.AF_INET6 if ":" in endpoint[0] else _socket.AF_INET, _DATAGRAM)
    try:
        sock.connect(endpoint)
    except BaseException:
        sock.close()
        raise
    return sock


def close_all(socks: Iterable[socket.socket]) -> None:
    """Close sockets."""
    for sock in socks:
        sock.close()


def _unbound(address: str) -> socket.socket:
    family = address_family(address)
    sock = socket.socket(family, socket.SOCK_DGRAM)
    sock.setblocking(False)
    # The address may come only with the local route that capture installs after us (ip(7)).
    if family is socket.AF_INET6:
        sock.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
        sock.setsockopt(socket.IPPROTO_IPV6, IPV6_FREEBIND, 1)
    else:
        sock.setsockopt(socket.IPPROTO_IP, IP_FREEBIND, 1)
    try:
        sock.setsockopt(socket.SOL_SOCKET, SO_RCVBUFFORCE, RECEIVE_BUFFER)
    except OSError:  # without CAP_NET_ADMIN net.core.rmem_max is the limit
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, RECEIVE_BUFFER)
    return sock
