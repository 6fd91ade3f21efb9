"""The project's data plane as a process of its own, driven over standard input.

Owns nothing but the command channel: listening, balancing and relaying are `userproxy.dataplane`'s. It imports nothing else of
the benchmarks, so that it can run with another checkout of userproxy in PYTHONPATH. Commands and answers are JSON, one a line:

    {"listen": {"web": [["127.0.4.1", 810]]}, "serve": {"web": [["127.0.1.1", 801]]}}   ->  {"failures": []}
    {"serve": {"web": [["127.0.1.2", 802]]}}                                            ->  {"failures": []}

It ends with its standard input.
"""

from __future__ import annotations

import argparse
import asyncio
import gc
import json
import sys
from typing import Any

import uvloop

from tests.build import serving_of
from userproxy.core.policy import Verdict
from userproxy.dataplane.plane import LocalPlane, PlaneSettings
from userproxy.dataplane.pool import WorkerPool
from userproxy.dataplane.workers import worker_count
from userproxy.model import Family, ListenerSpec, PortKey, ServicePortName


async def run(workers: str) -> None:
    """Relay until standard input ends."""
    count = worker_count(workers)
    plane = WorkerPool(PlaneSettings(), count) if count else LocalPlane(PlaneSettings())
    await plane.start()
    commands = await _standard_input()
    try:
        async with asyncio.TaskGroup() as group:
            running = group.create_task(plane.run(), name="data plane")
            first = True
            while line := await commands.readline():
                print(json.dumps({"failures": await apply(plane, json.loads(line))}), flush=True)
                if first:
                    # As the agent does once the first plan is applied.
                    gc.collect()
                    gc.freeze()
                    first = False
            running.cancel()
    finally:
        plane.stop()


async def apply(plane: WorkerPool | LocalPlane, command: dict[str, Any]) -> list[str]:
    """Carry one command out; return why listeners could not be opened."""
    specs = [
        ListenerSpec(_key(name), host, port, captured_only=False)
        for name, addresses in command.get("listen", {}).items()
        for host, port in addresses
    ]
    servings = [
        serving_of(_key(name), tuple((host, port) for host, port in endpoints), Verdict.CARRY)
        for name, endpoints in command["serve"].items()
    ]
    opened = await plane.open(specs, servings)
    return list(opened.failures.values())


def _key(name: str) -> PortKey:
    """Return the key of a Service port; the one named `dns` is of UDP."""
    return PortKey(ServicePortName("default", name, "", "UDP" if name == "dns" else "TCP"), Family.IPV4)


async def _standard_input() -> asyncio.StreamReader:
    reader = asyncio.StreamReader(limit=1 << 20)
    await asyncio.get_running_loop().connect_read_pipe(
        lambda: asyncio.StreamReaderProtocol(reader), sys.stdin
    )
    return reader


if __name__ == "__main__":
    parser = argparse.ArgumentParser()
    parser.add_argument("--workers", default="0")
    uvloop.run(run(parser.parse_args().workers))
