"""Moving the bytes of one connection: two legs, each read into a shared buffer and written to its peer.

Owns half-close, backpressure, fairness and the end of a connection. Accepting is `dataplane.acceptor`'s work, dialling that of
`dataplane.dialing`. System calls and the interpreter are the cost here (see the project's benchmark): a leg is registered once,
on edges; small pieces go a short way; no read is tried that is known to find nothing, since its exception costs more than the
call. Truth comes from recv() and send(), never from event bits, so a spurious event is harmless.

Rules kept (RFC 9293, tcp(7)): EOF is passed on after all bytes before it; a reset is passed on as a reset; while bytes wait
for a slow peer their source is not read, which is the whole of backpressure.
"""

from __future__ import annotations

import _socket
import errno
import os
import select
from typing import TYPE_CHECKING

from userproxy.dataplane.reactor import BUFFER_SIZE

if TYPE_CHECKING:
    from userproxy.dataplane.connection import Connection

EDGE = select.EPOLLIN | select.EPOLLRDHUP | select.EPOLLET
EDGE_WRITE = EDGE | select.EPOLLOUT
_IN_OUT = select.EPOLLIN | select.EPOLLOUT
_WRITABLE = select.EPOLLOUT
_READABLE = select.EPOLLIN | select.EPOLLRDHUP | select.EPOLLHUP | select.EPOLLERR
_FIN = select.EPOLLRDHUP
_ERROR = select.EPOLLERR
_DONTWAIT = _socket.MSG_DONTWAIT
_MORE = _socket.MSG_DONTWAIT | _socket.MSG_MORE

TURN_BYTES = 4 * BUFFER_SIZE
"""Bytes one leg may move before others get their turn."""

CHUNK = 16 * 1024
"""Bytes asked for at first: for small pieces recv() costs a third less than recv_into() and a slice of the shared buffer."""
SMALL = 1200
"""Bytes that fit one segment on any path: Nagle's algorithm lets a first send of this size go at once (RFC 1122, 4.2.3.4)."""


class Leg:
    """One socket of a connection, the side that bytes are read from; `peer` is where they go.

    `tail` holds what `peer` could not take yet (so it belongs to `peer`'s sending side and blocks our reading).
    """

    __slots__ = (
        "bulk",
        "connection",
        "ended",
        "ending",
        "fd",
        "is_client",
        "moved",
        "peer",
        "queued",
        "quick",
        "sock",
        "tail",
        "watched",
    )

    def __init__(self, connection: Connection, sock: _socket.socket, fd: int, is_client: bool) -> None:
        self.connection = connection
        self.sock = sock
        self.fd = fd
        self.is_client = is_client
        self.peer: Leg | None = None
        """None until an endpoint is connected, and after the end: two legs that point at each other are garbage to collect"""
        self.tail = b""
        self.moved = 0
        """bytes read from this leg and handed to the kernel for the peer, or waiting in `tail`"""
        self.ending = 0
        """what the kernel said is queued behind the data: EPOLLRDHUP (FIN) or EPOLLERR"""
        self.ended = False
        """EOF was read, or is known to follow what was read"""
        self.queued = False
        """on the reactor's ready list"""
        self.quick = False
        """there is nothing to do but to move small pieces"""
        self.bulk = False
        """the last read filled CHUNK, so the shared buffer is used"""
        self.watched = EDGE
        """epoll events asked for"""

    def __repr__(self) -> str:
        return f"<Leg {'client' if self.is_client else 'endpoint'} of {self.connection!r}>"

    def on_event(self, event: int) -> None:
        """Handle an epoll event of this leg's socket."""
        if self.quick and event | _WRITABLE == _IN_OUT:
            peer = self.peer
            if peer is not None and not peer.tail:
                self._move_piece(peer)
                return
        connection = self.connection
        if not connection.carried:
            connection.on_early_event(self, event)
            return
        if event & _WRITABLE:
            peer = self.peer
            if peer is not None and peer.tail:
                peer.flush()
                if connection.closed:
                    return
        if event & _READABLE:
            if event & _ERROR:
                self.ending = _ERROR
            elif event & _FIN:
                self.ending = _FIN
            self.pump()

    def resume(self) -> None:
        """Take another turn of reading."""
        self.queued = False
        if not self.connection.closed:
            self.pump()

    def abort(self) -> None:
        """End the connection with a reset to both sides."""
        self.connection.abort()

    def begin(self, peer: Leg, sent: int) -> None:
        """Go on from the bytes in `tail` that were read before `peer` was connected; it has `sent` of them, -1: none."""
        if self.tail:
            size = len(self.tail)
            self.moved = size
            self.connection.counters.bytes_received += size
            if sent < 0:
                try:
                    sent = peer.sock.send(self.tail, _DONTWAIT)
                except BlockingIOError:
                    sent = 0
                except OSError:
                    self.tail = b""
                    self._lost(peer)
                    return
            self.tail = self.tail[sent:]
            if self.tail:
                peer.watch_writable()
                return
        if self.ended:
            self._finish(peer)
        elif self.connection.woken:
            self.pump()

    def pump(self) -> None:
        """Move bytes from this leg to its peer until there are none, the peer is full, or the turn is over."""
        peer = self.peer
        if self.tail or self.ended or self.queued or peer is None:
            return
        connection = self.connection
        buffer = connection.reactor.buffer
        budget = TURN_BYTES
        data: bytes | memoryview
        while True:
            try:
                if self.bulk:
                    room = BUFFER_SIZE
                    size = self.sock.recv_into(buffer, 0, _DONTWAIT)
                    data = buffer[:size]
                else:
                    room = CHUNK
                    data = self.sock.recv(CHUNK, _DONTWAIT)
                    size = len(data)
            except BlockingIOError:
                break
            except OSError as error:
                connection.reset(self._why(error))
                return
            self.bulk = size >= CHUNK
            # The FIN was there before this read, so a read that does not fill the buffer has emptied the socket: EOF is
            # next, and can be sent in one segment with the last bytes.
            if not size or (self.ending == _FIN and size < room):
                self.ended = True
            if size and not self._send(peer, data, size):
                return
            if self.ended:
                self._finish(peer)
                return
            if size < room and not self.ending:
                break
            budget -= size
            if budget <= 0:
                self.queued = True
                connection.reactor.ready.append(self)
                return
        self.quick = not self.bulk and connection.lost is None and (connection.prompt or not self.is_client)

    def _move_piece(self, peer: Leg) -> None:
        """Do once what `pump` does, for a small piece on a connection where nothing special is going on."""
        connection = self.connection
        try:
            data = self.sock.recv(CHUNK, _DONTWAIT)
        except BlockingIOError:
            return
        except OSError as error:
            connection.reset(self._why(error))
            return
        size = len(data)
        if not size:
            self.ended = True
            self._finish(peer)
            return
        self.moved += size
        if self.is_client:
            connection.counters.bytes_received += size
        else:
            connection.counters.bytes_sent += size
        try:
            sent = peer.sock.send(data, _DONTWAIT)
        except BlockingIOError:
            sent = 0
        except OSError:
            self._lost(peer)
            return
        if sent < size:
            self._keep(peer, data[sent:])
        elif size == CHUNK:
            self.bulk = True
            self.pump()

    def _send(self, peer: Leg, data: bytes | memoryview, size: int) -> bool:
        """Hand `data` to the peer; False when nothing more may be read now."""
        connection = self.connection
        if self.is_client:
            connection.counters.bytes_received += size
            if not connection.prompt and (self.moved or size > SMALL):
                connection.be_prompt()
        else:
            connection.counters.bytes_sent += size
        self.moved += size
        if connection.lost is self:
            return True
        try:
            sent = peer.sock.send(data, _MORE if self.ended and connection.lost is None else _DONTWAIT)
        except BlockingIOError:
            sent = 0
        except OSError:
            return self._lost(peer)
        if sent < size:
            self._keep(peer, bytes(data[sent:]))
            return False
        return True

    def _keep(self, peer: Leg, rest: bytes) -> None:
        """Keep what the peer could not take, and read no more until it has."""
        self.quick = False
        self.tail = rest
        peer.watch_writable()

    def flush(self) -> None:
        """Send what waits for the peer; when all is out, read on."""
        peer = self.peer
        if peer is None:
            return
        try:
            sent = peer.sock.send(self.tail, _DONTWAIT)
        except BlockingIOError:
            return
        except OSError:
            self.tail = b""
            self._lost(peer)
            return
        self.tail = self.tail[sent:]
        if self.tail:
            return
        if self.ended:
            self._finish(peer)
        else:
            self.pump()

    def watch_writable(self) -> None:
        """Ask for write events too; most connections never need them, so they are not asked for at first."""
        if self.watched == EDGE:
            self.watched = EDGE_WRITE
            self.connection.reactor.epoll.modify(self.fd, EDGE_WRITE)

    def _finish(self, peer: Leg) -> None:
        """All bytes before EOF are sent: pass the EOF on, or close when the other direction has ended too."""
        connection = self.connection
        if connection.lost is not None:
            connection.reset(f"{peer.name} took no more bytes")
        elif peer.ended and not peer.tail:
            connection.close()
        else:
            try:
                peer.sock.shutdown(_socket.SHUT_WR)
            except OSError as error:
                connection.reset(peer._why(error))
            else:
                connection.half_closed()

    def _lost(self, peer: Leg) -> bool:
        """The peer takes no more bytes. What it sent before may still wait in its socket: deliver that, then reset.

        A server that answers early and closes with unread data does this (RFC 9112, 9.6).
        """
        connection = self.connection
        both = connection.lost is not None
        connection.lost = self
        self.quick = peer.quick = False
        peer.ending = _ERROR
        if both or (peer.ended and not peer.tail):
            connection.reset(f"{peer.name} took no more bytes")
            return False
        connection.half_closed()
        peer.pump()
        return False

    @property
    def name(self) -> str:
        """Which side this is, for people."""
        return "the client" if self.is_client else "the endpoint"

    def _why(self, error: OSError) -> str:
        reset = error.errno in (errno.ECONNRESET, errno.EPIPE, errno.ENOTCONN)
        return f"reset by {self.name}" if reset else f"{self.name}: {os.strerror(error.errno or 0)}"
