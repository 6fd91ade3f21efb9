"""The least that a relay with userproxy's system calls costs in this interpreter: a benchmark target, not a proxy to be used.

floor.c in Python: the same system calls in the same order and nothing else, written for speed alone: one slotted object for a
socket, no limits, deadlines, counters, retries or logs, and it ends with any error it does not expect. What lies between
floor.c and this is the price of the interpreter; what lies between this and userproxy is the price of what userproxy does.

usage: python floor.py LISTEN,...=ENDPOINT,... ...     (each an IPv4 address and port, such as 127.0.0.1:80)
"""

from __future__ import annotations

import _socket
import gc
import select
import struct
import sys

EVENTS, ACCEPTS, BUFFER, CHUNK, SMALL = 256, 64, 256 * 1024, 16 * 1024, 1200
EDGE = select.EPOLLIN | select.EPOLLRDHUP | select.EPOLLET
FAILED = select.EPOLLERR | select.EPOLLHUP
FIN, OUT = select.EPOLLRDHUP, select.EPOLLOUT
STREAM = _socket.SOCK_STREAM | _socket.SOCK_NONBLOCK
WAIT_NOT = _socket.MSG_DONTWAIT
MORE = WAIT_NOT | _socket.MSG_MORE
NOTHING = b""

Address = tuple[str, int]

epoll = select.epoll()
buffer = memoryview(bytearray(BUFFER))
legs: dict[int, Leg] = {}
listeners: dict[int, tuple[_socket.socket, list[Address]]] = {}
closed: list[_socket.socket] = []


class Leg:
    """One side of a connection, read from and sent to its peer."""

    __slots__ = ("carried", "client", "ended", "ending", "fd", "moved", "peer", "prompt", "sock", "tail")

    def __init__(self, sock: _socket.socket, fd: int, client: bool) -> None:
        self.sock = sock
        self.fd = fd
        self.client = client
        self.peer: Leg | None = None
        self.tail = NOTHING
        self.ending = self.ended = self.moved = self.carried = False
        self.prompt = not client


def end(leg: Leg, reset: bool = False) -> None:
    """Close both sides after this batch: until then no other socket can get their descriptors."""
    for one in (leg, leg.peer):
        if one is not None and legs.pop(one.fd, None) is not None:
            if reset:
                one.sock.setsockopt(_socket.SOL_SOCKET, _socket.SO_LINGER, struct.pack("ii", 1, 0))
            one.peer = None
            closed.append(one.sock)


def finish(leg: Leg, peer: Leg) -> None:
    """Pass the end of `leg` on, or end both."""
    if peer.ended and not peer.tail:
        end(leg)
    else:
        try:
            peer.sock.shutdown(_socket.SHUT_WR)
        except OSError:
            end(leg, reset=True)


def pump(leg: Leg) -> None:
    """Move what there is."""
    peer = leg.peer
    if leg.tail or leg.ended or peer is None:
        return
    bulk = False
    while True:
        try:
            if bulk:
                size = leg.sock.recv_into(buffer, 0, WAIT_NOT)
                data: bytes | memoryview = buffer[:size]
            else:
                data = leg.sock.recv(CHUNK, WAIT_NOT)
                size = len(data)
        except BlockingIOError:
            return
        except OSError:
            end(leg, reset=True)
            return
        room, bulk = (BUFFER if bulk else CHUNK), size >= CHUNK
        if not size or (leg.ending and size < room):
            leg.ended = True
        if size:
            if not leg.prompt and (leg.moved or size > SMALL):
                leg.prompt = True
                peer.sock.setsockopt(_socket.IPPROTO_TCP, _socket.TCP_NODELAY, 1)
            leg.moved = True
            try:
                sent = peer.sock.send(data, MORE if leg.ended else WAIT_NOT)
            except BlockingIOError:
                sent = 0
            except OSError:
                end(leg, reset=True)
                return
            if sent < size:
                leg.tail = bytes(data[sent:])
                epoll.modify(peer.fd, EDGE | OUT)
                return
        if leg.ended:
            finish(leg, peer)
            return
        if size < room and not leg.ending:
            return


def flush(leg: Leg, peer: Leg) -> None:
    """Send what the peer could not take before."""
    try:
        sent = peer.sock.send(leg.tail, WAIT_NOT)
    except BlockingIOError:
        return
    except OSError:
        end(leg, reset=True)
        return
    leg.tail = leg.tail[sent:]
    if not leg.tail:
        if leg.ended:
            finish(leg, peer)
        else:
            pump(leg)


def start(sock: _socket.socket, fd: int, endpoints: list[Address]) -> None:
    """Read the client, dial the next endpoint, and send it what was read."""
    client = Leg(sock, fd, client=True)
    try:
        client.tail = sock.recv(CHUNK, WAIT_NOT)
        client.ended = not client.tail
    except BlockingIOError:
        pass
    legs[fd] = client
    epoll.register(fd, EDGE)
    made = _socket.socket(_socket.AF_INET, STREAM, 0)
    server = Leg(made, made.fileno(), client=False)
    client.peer, server.peer = server, client
    legs[server.fd] = server
    early = client.tail
    if early:
        made.setsockopt(_socket.IPPROTO_TCP, _socket.TCP_QUICKACK, 0)
    endpoints.append(endpoint := endpoints.pop(0))
    made.connect_ex(endpoint)
    if early:
        try:
            client.tail = early[made.send(early, WAIT_NOT) :]
            client.moved = True
        except OSError:
            pass
        else:
            if not client.tail:
                client.carried = server.carried = True
                epoll.register(server.fd, EDGE)
                return
    epoll.register(server.fd, EDGE | OUT)


def on_early_event(leg: Leg, events: int) -> None:
    """Handle what comes before the endpoint is connected."""
    if events & FAILED:
        end(leg, reset=True)
    elif leg.client:
        leg.ending = bool(events & FIN)
    elif events & OUT and leg.peer is not None:
        client = leg.peer
        leg.carried = client.carried = True
        if client.tail:
            flush(client, leg)
        elif client.ended:
            finish(client, leg)
        else:
            pump(client)
        if events & select.EPOLLIN:
            pump(leg)


def take(listener: _socket.socket, endpoints: list[Address]) -> None:
    """Accept what waits."""
    accept = listener._accept  # type: ignore[attr-defined]
    for _ in range(ACCEPTS):
        try:
            fd, _peer = accept()
        except OSError:
            return
        start(_socket.socket(_socket.AF_INET, _socket.SOCK_STREAM, 0, fd), fd, endpoints)


def run() -> None:
    """Relay for ever."""
    while True:
        for fd, events in epoll.poll(-1, EVENTS):
            leg = legs.get(fd)
            if leg is None:
                if fd in listeners:
                    take(*listeners[fd])
                continue
            if not leg.carried:
                on_early_event(leg, events)
                continue
            if events & OUT and leg.peer is not None and leg.peer.tail:
                flush(leg.peer, leg)
            if events & FIN:
                leg.ending = True
            pump(leg)
        while closed:
            closed.pop().close()


def listen(address: Address, endpoints: list[Address]) -> None:
    """Listen at `address` for these endpoints."""
    sock = _socket.socket(_socket.AF_INET, STREAM, 0)
    sock.setsockopt(_socket.SOL_SOCKET, _socket.SO_REUSEADDR, 1)
    sock.setsockopt(_socket.IPPROTO_TCP, _socket.TCP_NODELAY, 1)
    sock.setsockopt(_socket.SOL_SOCKET, _socket.SO_KEEPALIVE, 1)
    sock.bind(address)
    sock.listen(4096)
    listeners[sock.fileno()] = sock, endpoints
    epoll.register(sock.fileno(), select.EPOLLIN)


def addresses(text: str) -> list[Address]:
    """Parse `HOST:PORT,...`."""
    return [(one.split(":")[0], int(one.split(":")[1])) for one in text.split(",")]


if __name__ == "__main__":
    for argument in sys.argv[1:]:
        at, to = argument.split("=")
        endpoints = addresses(to)
        for address in addresses(at):
            listen(address, endpoints)
    gc.collect()
    gc.freeze()
    run()
