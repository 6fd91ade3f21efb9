"""An open-loop client: requests at a fixed rate, each measured from the moment it was meant to be sent.

Owns the schedule, so that a server that stalls is charged for every request it kept waiting (no coordinated omission). Being
Python, it adds tens of microseconds of its own: compare with the same run without a proxy. Prints one JSON line.
"""

from __future__ import annotations

import argparse
import ctypes
import gc
import json
import select
import socket
import time
from collections import deque

PR_SET_TIMERSLACK = 29
ANSWER_SECONDS = 5.0


class OpenLoop:
    """Connections that each carry one request at a time; a request waits when all are busy, and its clock runs."""

    def __init__(
        self, address: tuple[str, int], connections: int, request: bytes, end_of_answer: bytes
    ) -> None:
        self._request = request
        self._end = end_of_answer
        self._idle: deque[socket.socket] = deque()
        self._busy: dict[socket.socket, tuple[int, bytes]] = {}
        self.latencies: list[int] = []
        """nanoseconds, in the order of the answers"""
        self.errors = 0
        for _ in range(connections):
            sock = socket.create_connection(address, 5.0)
            sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            sock.setblocking(False)
            self._idle.append(sock)

    def run(self, rate: float, seconds: float) -> None:
        """Send `rate` requests a second; returns when all are answered or given up."""
        total, interval = int(rate * seconds), 1e9 / rate
        start, planned = time.perf_counter_ns(), 0
        waiting: deque[int] = deque()
        deadline = start + int((seconds + ANSWER_SECONDS) * 1e9)
        while (planned < total or waiting or self._busy) and (self._idle or self._busy):
            now = time.perf_counter_ns()
            if now > deadline:
                break
            while planned < total and (due := start + int(planned * interval)) <= now:
                waiting.append(due)
                planned += 1
            while waiting and self._idle:
                self._send(self._idle.popleft(), waiting.popleft())
            pause = (
                start + int(planned * interval) if planned < total else deadline
            ) - time.perf_counter_ns()
            readable, _, _ = select.select(self._busy, [], [], max(0.0, pause / 1e9))
            for sock in readable:
                self._receive(sock)
        self.errors = total - len(self.latencies)

    def close(self) -> None:
        """Close every connection."""
        for sock in (*self._idle, *self._busy):
            sock.close()

    def _send(self, sock: socket.socket, due: int) -> None:
        try:
            sock.send(self._request)
        except OSError:
            sock.close()
        else:
            self._busy[sock] = due, b""

    def _receive(self, sock: socket.socket) -> None:
        due, answer = self._busy[sock]
        try:
            data = sock.recv(4096)
        except OSError:
            data = b""
        if not data:
            del self._busy[sock]
            sock.close()
            return
        answer += data
        if answer.endswith(self._end):
            self.latencies.append(time.perf_counter_ns() - due)
            del self._busy[sock]
            self._idle.append(sock)
        else:
            self._busy[sock] = due, answer


def quantile(ordered: list[int], share: float) -> float:
    """Return the value below which `share` of an ordered list lies; NaN when it is empty."""
    return ordered[min(len(ordered) - 1, int(len(ordered) * share))] if ordered else float("nan")


def measure(
    address: tuple[str, int], connections: int, rate: float, seconds: float, request: bytes, end: bytes
) -> dict[str, float]:
    """Run once; return microseconds and counts."""
    # The default of 50 µs would be added to every pause.
    ctypes.CDLL(None).prctl(PR_SET_TIMERSLACK, 1, 0, 0, 0)
    client = OpenLoop(address, connections, request, end)
    gc.disable()
    try:
        client.run(rate, seconds)
    finally:
        client.close()
    ordered = sorted(client.latencies)
    named = {"p50_us": 0.5, "p99_us": 0.99, "p999_us": 0.999, "max_us": 1.0}
    found = {name: round(quantile(ordered, share) / 1e3, 1) for name, share in named.items()}
    return {**found, "answered": len(ordered), "errors": client.errors}


if __name__ == "__main__":
    parser = argparse.ArgumentParser()
    parser.add_argument("host")
    parser.add_argument("port", type=int)
    parser.add_argument("--connections", type=int, default=16)
    parser.add_argument("--rate", type=float, required=True)
    parser.add_argument("--seconds", type=float, required=True)
    parser.add_argument("--request", required=True, help="with escapes as in Python")
    parser.add_argument("--end", required=True, help="how an answer ends, with escapes as in Python")
    chosen = parser.parse_args()
    texts = [text.encode().decode("unicode_escape").encode() for text in (chosen.request, chosen.end)]
    print(
        json.dumps(
            measure(
                (chosen.host, chosen.port),
                chosen.connections,
                chosen.rate,
                chosen.seconds,
                texts[0],
                texts[1],
            )
        )
    )
