"""Program: sends SIZE MiB over one connection while it receives as much as comes, and prints checksums of both as JSON.

Arguments: SIZE, then HOST and PORT to connect to, or the number of an inherited listening socket to accept from. Both ends of a
connection run it. Every block carries its number, so that a lost, doubled or misplaced block changes the checksum.
"""

from __future__ import annotations

import json
import os
import socket
import sys
import threading
import zlib

BLOCK = 1 << 20
_SECONDS = 60.0


class Sum:
    """How many bytes, and their CRC-32."""

    def __init__(self) -> None:
        self.size = 0
        self.crc = 0

    def add(self, data: memoryview) -> None:
        self.crc = zlib.crc32(data, self.crc)
        self.size += len(data)


def send(sock: socket.socket, blocks: int, total: Sum) -> None:
    """Send so many numbered random blocks, then end the sending side."""
    block = memoryview(bytearray(os.urandom(BLOCK)))
    for number in range(blocks):
        block[:8] = number.to_bytes(8)
        sock.sendall(block)
        total.add(block)
    sock.shutdown(socket.SHUT_WR)


def receive(sock: socket.socket, total: Sum) -> None:
    """Receive to EOF."""
    buffer = memoryview(bytearray(BLOCK))
    while size := sock.recv_into(buffer):
        total.add(buffer[:size])


def opened(where: list[str]) -> socket.socket:
    """Connect, or accept."""
    if len(where) == 2:
        return socket.create_connection((where[0], int(where[1])), timeout=_SECONDS)
    with socket.socket(fileno=int(where[0])) as listener:
        listener.settimeout(_SECONDS)
        return listener.accept()[0]


def main() -> None:
    """Transfer both ways at once."""
    sent, received = Sum(), Sum()
    with opened(sys.argv[2:]) as sock:
        sock.settimeout(_SECONDS)
        sending = threading.Thread(target=send, args=(sock, int(sys.argv[1]), sent))
        sending.start()
        receive(sock, received)
        sending.join()
    print(json.dumps({"sent": [sent.size, sent.crc], "received": [received.size, received.crc]}))


if __name__ == "__main__":
    main()
