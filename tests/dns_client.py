"""Program: asks a DNS server as many clients do, each question from a port of its own, so many at a time.

Arguments: HOST PORT, how many questions are under way at once, how many there are in a round, and how many rounds (0: until the
standard input ends). Prints one line of JSON for each round:
{"answers": {address: count}, "lost": questions without an answer after five seconds, "rate": a second, "p50_us", "p99_us"}.
With `--keep` each client keeps its port for all its questions, as a resolver may.
"""

from __future__ import annotations

import json
import select
import socket
import sys
import time
from collections import Counter, OrderedDict

from tests.dns_messages import address_in, question

PATIENCE = 5.0


class Load:
    """Questions under way, by the descriptor of their socket, the oldest first."""

    def __init__(self, host: str, port: int, *, keep: bool) -> None:
        self._family = socket.AF_INET6 if ":" in host else socket.AF_INET
        self._target = (host, port)
        self._keep = keep
        self._epoll = select.epoll()
        self._under_way: OrderedDict[int, tuple[socket.socket, int, float]] = OrderedDict()
        self._idle: list[socket.socket] = []
        self._number = 0

    def round(self, questions: int, window: int) -> dict[str, object]:
        """Ask so many questions, `window` at a time."""
        answers: Counter[str] = Counter()
        times: list[float] = []
        began = time.monotonic()
        asked = lost = 0
        while asked < questions or self._under_way:
            while asked < questions and len(self._under_way) < window:
                self._ask()
                asked += 1
            for descriptor, _ in self._epoll.poll(0.1):
                self._take(descriptor, answers, times)
            lost += self._give_up()
        times.sort()
        return {
            "answers": answers,
            "lost": lost + answers.pop("", 0),
            "rate": len(times) / (time.monotonic() - began),
            "p50_us": 1e6 * times[len(times) // 2] if times else 0,
            "p99_us": 1e6 * times[len(times) * 99 // 100] if times else 0,
        }

    def _ask(self) -> None:
        if self._idle:
            sock = self._idle.pop()
        else:
            sock = socket.socket(self._family, socket.SOCK_DGRAM | socket.SOCK_NONBLOCK)
            sock.connect(self._target)
            self._epoll.register(sock.fileno(), select.EPOLLIN)
        self._number = (self._number + 1) % 65536
        self._under_way[sock.fileno()] = (sock, self._number, time.monotonic())
        sock.send(question(self._number))

    def _take(self, descriptor: int, answers: Counter[str], times: list[float]) -> None:
        sock, number, since = self._under_way.pop(descriptor)
        try:
            answers[address_in(sock.recv(512), number)] += 1
        except ConnectionRefusedError:
            answers["refused"] += 1
        times.append(time.monotonic() - since)
        if self._keep:
            self._idle.append(sock)
        else:
            sock.close()

    def _give_up(self) -> int:
        lost = 0
        while self._under_way:
            sock, _, since = next(iter(self._under_way.values()))
            if time.monotonic() - since < PATIENCE:
                break
            del self._under_way[sock.fileno()]
            sock.close()
            lost += 1
        return lost


def main() -> None:
    """Run the rounds."""
    arguments = [one for one in sys.argv[1:] if one != "--keep"]
    host, (port, window, questions, rounds) = arguments[0], map(int, arguments[1:])
    load = Load(host, port, keep="--keep" in sys.argv)
    done = 0
    while done < rounds or (not rounds and not select.select([0], [], [], 0)[0]):
        print(json.dumps(load.round(questions, window)), flush=True)
        done += 1


if __name__ == "__main__":
    main()
