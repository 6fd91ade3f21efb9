"""What the benchmark tells an API server process over its standard input, and the answers.

Owns the commands and the pace of a flood of changes. Objects are stored and sent by the server given in. All times are
nanoseconds of the monotonic clock, which is the same in every process. One JSON object a line:

    {"do": "change", "service": 7, "addresses": [...]}    new endpoints of a Service       -> {"written": 123}
    {"do": "create", "service": 7, "addresses": [...]}    a new Service with its slice     -> {"written": 123}
    {"do": "flood", "rate": 1000, "seconds": 10, "services": [0, 1, ...]}                  -> {"written": 123}
    {"do": "expire"}                                      every client must list again     -> {"written": 123}
    {"do": "count"}                                       changes written by floods        -> {"flooded": 10000}
"""

from __future__ import annotations

import asyncio
import itertools
import json
import sys
import time
from collections.abc import Sequence
from typing import Any, Protocol

from tests.benchmarks.control.cluster_objects import first_addresses

FLOOD_TICK = 0.005


class Server(Protocol):
    """An API server that can be written to. `endpoints` is how many endpoints each Service has."""

    endpoints: int

    def put_service(self, number: int) -> None:
        """Store a Service and send the event."""

    def put_slice(self, number: int, addresses: Sequence[str]) -> None:
        """Store the slice of a Service and send the event."""

    def expire(self) -> None:
        """Forget the past and end every watch, so that clients list again."""


class Commands:
    """Carries out commands until standard input ends."""

    def __init__(self, server: Server) -> None:
        self._server = server
        self._flooded = 0

    async def run(self, hello: dict[str, Any]) -> None:
        """Say hello and serve."""
        reader = asyncio.StreamReader(limit=1 << 22)
        await asyncio.get_running_loop().connect_read_pipe(
            lambda: asyncio.StreamReaderProtocol(reader), sys.stdin
        )
        print(json.dumps(hello), flush=True)
        async with asyncio.TaskGroup() as group:
            while line := await reader.readline():
                print(json.dumps(self._carry_out(json.loads(line), group)), flush=True)

    def _carry_out(self, command: dict[str, Any], group: asyncio.TaskGroup) -> dict[str, int]:
        wanted = command["do"]
        if wanted == "count":
            return {"flooded": self._flooded}
        if wanted == "flood":
            flood = self._flood(command["rate"], command["seconds"], command["services"])
            group.create_task(flood, name="flood")
        elif wanted == "expire":
            self._server.expire()
        else:
            self._server.put_slice(command["service"], command["addresses"])
            if wanted == "create":
                self._server.put_service(command["service"])
        return {"written": time.monotonic_ns()}

    async def _flood(self, rate: float, seconds: float, services: Sequence[int]) -> None:
        """Replace one endpoint of one Service after the other, `rate` times a second."""
        loop = asyncio.get_running_loop()
        start, total = loop.time(), int(rate * seconds)
        others = dict.fromkeys(services, 0)
        turn = itertools.cycle(services)
        sent = 0
        while sent < total:
            due = min(total, int((loop.time() - start) * rate) + 1)
            for number in itertools.islice(turn, due - sent):
                others[number] ^= 1
                addresses = first_addresses(number, self._server.endpoints)
                # Its neighbour's first endpoint answers as well as any other.
                addresses[-1] = first_addresses(number + others[number], self._server.endpoints)[0]
                self._server.put_slice(number, addresses)
            self._flooded += due - sent
            sent = due
            await asyncio.sleep(FLOOD_TICK)
