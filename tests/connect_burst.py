"""A program for tests: connects N times to HOST PORT as fast as it can, in batches, and drops each batch with resets."""

from __future__ import annotations

import contextlib
import errno
import socket
import struct
import sys

BATCH = 2000


def burst(address: tuple[str, int], count: int) -> int:
    """Return how many connection attempts were made."""
    made = 0
    while made < count:
        batch = []
        for number in range(min(BATCH, count - made)):
            sock = socket.socket()
            sock.setblocking(False)
            # Sources are spread, so that the client does not run out of ports before the proxy is tried.
            sock.bind((f"127.1.{made // BATCH}.{1 + number % 200}", 0))
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            assert sock.connect_ex(address) in (0, errno.EINPROGRESS, errno.ECONNREFUSED)
            batch.append(sock)
        made += len(batch)
        for sock in batch:
            with contextlib.suppress(OSError):
                sock.close()
    return made


if __name__ == "__main__":
    print(burst((sys.argv[1], int(sys.argv[2])), int(sys.argv[3])))
