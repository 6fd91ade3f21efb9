"""Program: connects COUNT times to HOST PORT, one after the other, and prints as JSON how often each name answered.

Needs nothing but the standard library, and is started as whoever shall be the client, where the client shall be.
"""

from __future__ import annotations

import json
import socket
import sys
from collections import Counter

_SECONDS = 5.0


def ask(host: str, port: int, seconds: float = _SECONDS) -> str:
    """Return the name that one new connection is greeted with. Raises OSError."""
    with socket.create_connection((host, port), timeout=seconds) as sock, sock.makefile("r") as lines:
        return lines.readline().strip()


if __name__ == "__main__":
    host, port, count = sys.argv[1], int(sys.argv[2]), int(sys.argv[3])
    print(json.dumps(Counter(ask(host, port) for _ in range(count))))
