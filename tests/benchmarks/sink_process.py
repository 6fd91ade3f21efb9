"""The endpoint of uploads: reads the pattern, checks every byte and answers with what it got.

Owns the receiving side and its answer (`ANSWER`): how many bytes came, and whether all were right. One process, one epoll.
"""

from __future__ import annotations

import select
import socket
import struct
import sys

from tests.benchmarks.pattern import CHUNK_BYTES, Checker

ANSWER = struct.Struct("!Q?")


class Sink:
    """All connections; read fairly, one chunk for each event."""

    def __init__(self) -> None:
        self._epoll = select.epoll()
        self._listeners: dict[int, socket.socket] = {}
        self._streams: dict[int, tuple[socket.socket, Checker]] = {}
        self._buffer = bytearray(CHUNK_BYTES)
        self._view = memoryview(self._buffer)

    def listen(self, host: str, port: int) -> None:
        """Take connections at an address, too."""
        listener = socket.create_server((host, port), backlog=4096)
        self._listeners[listener.fileno()] = listener
        self._epoll.register(listener, select.EPOLLIN)

    def run(self) -> None:
        """Serve until killed."""
        while True:
            for descriptor, _ in self._epoll.poll():
                if descriptor in self._listeners:
                    self._accept(self._listeners[descriptor])
                else:
                    self._read(*self._streams[descriptor])

    def _accept(self, listener: socket.socket) -> None:
        sock, _ = listener.accept()
        self._streams[sock.fileno()] = sock, Checker()
        self._epoll.register(sock, select.EPOLLIN)

    def _read(self, sock: socket.socket, checker: Checker) -> None:
        try:
            size = sock.recv_into(self._buffer)
            checker.feed(self._view[:size])
            if size:
                return
            sock.sendall(ANSWER.pack(checker.count, checker.right))
        except ConnectionError:
            pass
        del self._streams[sock.fileno()]
        sock.close()


if __name__ == "__main__":
    sink = Sink()
    for address in sys.argv[1:]:
        name, _, number = address.rpartition(":")
        sink.listen(name, int(number))
    sink.run()
