"""HTTP requests made by hand: the checked download of the object, and connections that go idle after one request.

Owns the byte check of downloads, outside of what is timed, and what an idle connection is: established, used once, silent.
"""

from __future__ import annotations

import contextlib
import socket

from tests.benchmarks.pattern import CHUNK_BYTES, OBJECT_BYTES, Checker
from tests.benchmarks.target_configs import OBJECT_PATH, PAGE_BODY, Address

TIMEOUT = 10.0
PAGE_REQUEST = b"GET / HTTP/1.1\r\nHost: benchmark\r\n\r\n"
OBJECT_REQUEST = f"GET {OBJECT_PATH} HTTP/1.1\r\nHost: benchmark\r\nConnection: close\r\n\r\n".encode()


def download_is_right(address: Address) -> bool:
    """Fetch the object and return whether every byte of it came, and nothing else."""
    buffer = bytearray(CHUNK_BYTES)
    checker = Checker()
    try:
        with socket.create_connection(address, TIMEOUT) as sock:
            sock.sendall(OBJECT_REQUEST)
            head = b""
            while b"\r\n\r\n" not in head:
                if not (data := sock.recv(CHUNK_BYTES // 2)):
                    return False
                head += data
            checker.feed(memoryview(head.partition(b"\r\n\r\n")[2]))
            while size := sock.recv_into(buffer):
                checker.feed(memoryview(buffer)[:size])
    except OSError:
        return False
    return checker.right and checker.count == OBJECT_BYTES


class IdleConnections:
    """Connections that have carried one request and then say nothing. A context manager."""

    def __init__(self, address: Address, count: int) -> None:
        self._address = address
        self._count = count
        self._sockets: list[socket.socket] = []
        self.failures = 0

    def __enter__(self) -> IdleConnections:
        for _ in range(self._count):
            try:
                sock = socket.create_connection(self._address, TIMEOUT)
            except OSError:
                self.failures += 1
                continue
            self._sockets.append(sock)
            self.failures += not request_page(sock)
        return self

    def __exit__(self, *_: object) -> None:
        for sock in self._sockets:
            sock.close()


def request_page(sock: socket.socket) -> bool:
    """Send one request over a connection that stays open; return whether the answer was right."""
    answer = b""
    with contextlib.suppress(OSError):
        sock.sendall(PAGE_REQUEST)
        while not answer.endswith(PAGE_BODY):
            if not (data := sock.recv(4096)):
                return False
            answer += data
        return True
    return False
