"""Making sockets: listening sockets with their options, the drop filter, the original destination, reset on close.

Owns every setsockopt of the data plane. Decides nothing about which socket is wanted.
"""

from __future__ import annotations

import _socket
import ctypes
import errno
import socket
import struct
from collections.abc import Sequence

import msgspec

from userproxy.core.networks import Instruction
from userproxy.errors import ListenError
from userproxy.model import Address, Family, ListenerSpec, family_of

SO_ATTACH_FILTER = 26
SO_DETACH_FILTER = 27
SO_ORIGINAL_DST = 80
IP_FREEBIND = 15
IPV6_FREEBIND = 78
BACKLOG = 4096
"""Connections the kernel queues for a listener; net.core.somaxconn bounds it (4096 since Linux 5.4)."""

_LINGER_ZERO = struct.pack("@ii", 1, 0)


class SocketSettings(msgspec.Struct, frozen=True):
    """Timers of relayed connections, in seconds."""

    keepalive: float = 60.0
    """idle time before the first TCP keepalive probe"""
    user_timeout: float = 300.0
    """TCP_USER_TIMEOUT: how long sent data may stay unacknowledged, or a window shut, before the peer counts as dead"""


def address_family(address: str) -> socket.AddressFamily:
    """Return the socket family of a canonical IP address text."""
    return socket.AF_INET6 if family_of(address) is Family.IPV6 else socket.AF_INET


def bound_socket(address: str, port: int) -> socket.socket:
    """Return a TCP socket bound to `address` and `port`; accepted sockets inherit that they do not wait for more to send.

    Raises OSError as bind() does. The socket does not listen yet.
    """
    family = address_family(address)
    sock = socket.socket(family, socket.SOCK_STREAM | socket.SOCK_NONBLOCK)
    try:
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        # The address may come only with the local route or the proxy address that capture installs after us (ip(7)).
        if family is socket.AF_INET6:
            sock.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
            sock.setsockopt(socket.IPPROTO_IPV6, IPV6_FREEBIND, 1)
        else:
            sock.setsockopt(socket.IPPROTO_IP, IP_FREEBIND, 1)
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        sock.bind((address, port))
    except BaseException:
        sock.close()
        raise
    return sock


def handed_over(spec: ListenerSpec, descriptor: int) -> socket.socket:
    """Return the socket of `spec` that came as `descriptor`, without asking the kernel three times what it is."""
    kind, protocol = (
        (socket.SOCK_DGRAM, socket.IPPROTO_UDP) if spec.is_udp else (socket.SOCK_STREAM, socket.IPPROTO_TCP)
    )
    return socket.socket(address_family(spec.address), kind, protocol, descriptor)


def tune(sock: _socket.socket, settings: SocketSettings) -> None:
    """Set the options of a relayed connection: no Nagle delay, keepalive, and a bound on a silent peer (tcp(7))."""
    seconds = max(1, round(settings.keepalive))
    sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
    sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPIDLE, seconds)
    sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPINTVL, max(1, seconds // 4))
    sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT, round(settings.user_timeout * 1000))


def filter_packets(listener: socket.socket, program: Sequence[Instruction]) -> None:
    """Let a classic BPF program decide which packets `listener` sees; it replaces an earlier one at once.

    A packet it discards meets neither an answer nor a refusal. Accepted sockets inherit it. No privilege is needed.
    """
    code = b"".join(struct.pack("=HBBI", *instruction) for instruction in program)
    memory = ctypes.create_string_buffer(code, len(code))
    # struct sock_fprog; the kernel copies the program.
    pointer = struct.pack("@HP", len(program), ctypes.addressof(memory))
    listener.setsockopt(socket.SOL_SOCKET, SO_ATTACH_FILTER, pointer)


def unfilter_packets(listener: socket.socket) -> None:
    """Undo `filter_packets`; a client that was waiting connects at its next SYN retransmission."""
    try:
        listener.setsockopt(socket.SOL_SOCKET, SO_DETACH_FILTER, 0)
    except OSError as error:
        if error.errno != errno.ENOENT:
            raise


def original_destination(sock: _socket.socket, family: Family) -> Address | None:
    """Return where the client wanted to go before NAT, None when no conntrack entry knows the connection.

    The kernel's nf_getorigdst; for IPv6 the level is SOL_IPV6 (ip6tables.h IP6T_SO_ORIGINAL_DST).
    """
    try:
        if family is Family.IPV4:
            raw = sock.getsockopt(socket.IPPROTO_IP, SO_ORIGINAL_DST, 16)
            return socket.inet_ntop(socket.AF_INET, raw[4:8]), int.from_bytes(raw[2:4])
        raw = sock.getsockopt(socket.IPPROTO_IPV6, SO_ORIGINAL_DST, 28)
        return socket.inet_ntop(socket.AF_INET6, raw[8:24]), int.from_bytes(raw[2:4])
    except OSError:
        return None


def reset_on_close(sock: _socket.socket) -> None:
    """Make close() send RST instead of FIN (SO_LINGER with zero time, socket(7))."""
    try:
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _LINGER_ZERO)
    except OSError:
        pass


def listen_error(what: str, address: str, port: int, error: OSError) -> ListenError:
    """Return the error for a person: which listener, why, what to do."""
    host = f"[{address}]" if ":" in address else address
    advice = {
        errno.EADDRINUSE: "another process listens there: `ss -ltnp` names it; stop it or choose another port",
        errno.EACCES: "ports below ip_unprivileged_port_start need root or CAP_NET_BIND_SERVICE",
        errno.EPERM: "ports below ip_unprivileged_port_start need root or CAP_NET_BIND_SERVICE",
        errno.EADDRNOTAVAIL: "the address is not one of this host's",
        errno.EMFILE: "the descriptor limit is reached: raise LimitNOFILE",
    }.get(error.errno or 0, "see the error")
    return ListenError(f"{what}: cannot listen on {host}:{port}: {error.strerror or error}; {advice}")
