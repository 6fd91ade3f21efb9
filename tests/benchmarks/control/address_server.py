"""Every endpoint at once: one process that answers each line with the address it was reached at.

Owns the answers. All of the endpoint network is local to the namespace, so a wildcard listener is every Pod. Run as a process;
says one JSON line when it listens and ends with its standard input.
"""

from __future__ import annotations

import json
import select
import socket
import sys

from tests.benchmarks.control.cluster_objects import TARGET_PORT


class AddressServer:
    """All connections in one epoll."""

    def __init__(self) -> None:
        self._listener = socket.create_server(("0.0.0.0", TARGET_PORT), backlog=4096)
        self._epoll = select.epoll()
        self._epoll.register(self._listener, select.EPOLLIN)
        self._epoll.register(sys.stdin, select.EPOLLIN)
        self._connections: dict[int, tuple[socket.socket, bytes]] = {}

    def run(self) -> None:
        """Serve until standard input ends."""
        print(json.dumps({"port": TARGET_PORT}), flush=True)
        while True:
            for descriptor, _ in self._epoll.poll():
                if descriptor == sys.stdin.fileno():
                    return
                if descriptor == self._listener.fileno():
                    self._accept()
                else:
                    self._answer(descriptor)

    def _accept(self) -> None:
        sock, _ = self._listener.accept()
        self._connections[sock.fileno()] = sock, sock.getsockname()[0].encode() + b"\n"
        self._epoll.register(sock, select.EPOLLIN)

    def _answer(self, descriptor: int) -> None:
        sock, address = self._connections[descriptor]
        try:
            data = sock.recv(4096)
            if data:
                sock.sendall(address * data.count(b"\n"))
                return
        except ConnectionError:
            pass
        del self._connections[descriptor]
        sock.close()


if __name__ == "__main__":
    AddressServer().run()
