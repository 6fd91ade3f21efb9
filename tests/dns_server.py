"""Program: DNS servers in one process. Each answers every question with an address of its own, which tells who answered.

Argument: JSON of pairs: address, and the descriptor of a bound UDP socket or [host, port] to bind. Prints `{}` when it serves,
and ends with its standard input. Nothing but the standard library, one epoll: it shall be faster than what it tests.
"""

from __future__ import annotations

import contextlib
import json
import select
import socket
import sys

from tests.dns_messages import answer


def serve(sockets: dict[int, tuple[socket.socket, str]]) -> None:
    """Answer until the standard input ends."""
    epoll = select.epoll()
    for descriptor in (0, *sockets):
        epoll.register(descriptor, select.EPOLLIN)
    while True:
        for descriptor, _ in epoll.poll():
            if descriptor == 0:
                return
            sock, address = sockets[descriptor]
            with contextlib.suppress(BlockingIOError):
                while True:
                    asked, client = sock.recvfrom(512)
                    sock.sendto(answer(asked, address), client)


def main() -> None:
    """Bind, or take over, and serve."""
    sockets: dict[int, tuple[socket.socket, str]] = {}
    for address, place in json.loads(sys.argv[1]):
        if isinstance(place, int):
            sock = socket.socket(fileno=place)
        else:
            sock = socket.socket(socket.AF_INET6 if ":" in place[0] else socket.AF_INET, socket.SOCK_DGRAM)
            sock.bind(tuple(place))
        sock.setblocking(False)
        sockets[sock.fileno()] = (sock, address)
    print("{}", flush=True)
    serve(sockets)


if __name__ == "__main__":
    main()
