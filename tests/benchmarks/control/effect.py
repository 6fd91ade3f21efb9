"""From an event to its effect: how long after a write the first connection reaches the new endpoints.

Owns the client that tries again and again. What is written, and when, is `scenario`'s business.
"""

from __future__ import annotations

import contextlib
import random
import socket
import time
from collections.abc import Iterator, Sequence

from tests.benchmarks.control.cluster_objects import SERVICE_PORT, cluster_ip
from tests.benchmarks.processes import Process

CONNECT_SECONDS = 0.003
"""A listener answers within microseconds, since the kernel does it; before it exists, packets vanish."""
ANSWER_SECONDS = 1.0
GIVE_UP_SECONDS = 10.0
PAUSE_SECONDS = 0.0003
LONGEST_REST = 0.03


class NoEffect(RuntimeError):
    """A change did not come into effect in time."""


def measure(
    api: Process,
    what: str,
    services: Sequence[int],
    addresses: Iterator[list[str]],
    rest: float = LONGEST_REST,
) -> list[float]:
    """Change or create (`what`) one Service after the other; return the seconds each took to come into effect."""
    found = []
    for number in services:
        # Not in step with anything that happens regularly.
        time.sleep(random.random() * rest)
        wanted = next(addresses)
        written = api.ask({"do": what, "service": number, "addresses": wanted})["written"]
        found.append((wait_until_carried(number, wanted) - written) / 1e9)
    return found


def wait_until_carried(number: int, wanted: Sequence[str]) -> int:
    """Connect to a Service until one of `wanted` answers; return when it did (monotonic nanoseconds). Raises NoEffect."""
    end = time.monotonic() + GIVE_UP_SECONDS
    while time.monotonic() < end:
        if answering(number) in wanted:
            return time.monotonic_ns()
        time.sleep(PAUSE_SECONDS)
    raise NoEffect(f"Service {cluster_ip(number)} did not reach {wanted[0]} within {GIVE_UP_SECONDS} s")


def answering(number: int) -> str:
    """Return the address of the endpoint that a new connection to a Service reaches, empty when none does."""
    with contextlib.suppress(OSError), socket.socket() as sock:
        sock.settimeout(CONNECT_SECONDS)
        sock.connect((cluster_ip(number), SERVICE_PORT))
        sock.settimeout(ANSWER_SECONDS)
        sock.sendall(b"who\n")
        return sock.recv(64).decode().strip()
    return ""
