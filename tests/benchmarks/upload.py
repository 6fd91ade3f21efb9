"""Uploads the pattern over several connections for some seconds and demands the sink's word on every byte.

Owns the sending side. Run as a process; prints one JSON line: bytes, seconds, and how many connections lost or changed bytes.
"""

from __future__ import annotations

import argparse
import json
import select
import socket
import time

from tests.benchmarks.pattern import piece
from tests.benchmarks.sink_process import ANSWER

ANSWER_SECONDS = 10.0


def upload(address: tuple[str, int], seconds: float, connections: int) -> dict[str, float]:
    """Send as fast as the other side takes it; return what is printed."""
    sockets: dict[int, socket.socket] = {}
    epoll = select.epoll()
    for _ in range(connections):
        sock = socket.create_connection(address, 5.0)
        sock.setblocking(False)
        sockets[sock.fileno()] = sock
        epoll.register(sock, select.EPOLLOUT)
    sent = dict.fromkeys(sockets, 0)
    start = time.perf_counter()
    end = start + seconds
    while time.perf_counter() < end:
        for descriptor, _ in epoll.poll(1.0):
            try:
                sent[descriptor] += sockets[descriptor].send(piece(sent[descriptor]))
            except BlockingIOError:
                continue
    epoll.close()
    wrong = sum(not _answered(sock, sent[descriptor]) for descriptor, sock in sockets.items())
    return {
        "bytes": sum(sent.values()),
        "seconds": time.perf_counter() - start,
        "wrong": wrong,
    }


def _answered(sock: socket.socket, count: int) -> bool:
    """End the stream; return whether the sink got `count` right bytes."""
    with sock:
        try:
            sock.shutdown(socket.SHUT_WR)
            sock.settimeout(ANSWER_SECONDS)
            answer = b""
            while piece_of_answer := sock.recv(ANSWER.size):
                answer += piece_of_answer
        except OSError:
            return False
    return len(answer) == ANSWER.size and ANSWER.unpack(answer) == (count, True)


if __name__ == "__main__":
    parser = argparse.ArgumentParser()
    parser.add_argument("host")
    parser.add_argument("port", type=int)
    parser.add_argument("--seconds", type=float, required=True)
    parser.add_argument("--connections", type=int, default=4)
    chosen = parser.parse_args()
    print(json.dumps(upload((chosen.host, chosen.port), chosen.seconds, chosen.connections)))
