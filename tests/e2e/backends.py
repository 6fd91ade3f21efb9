"""Program: endpoints in one process. Each says its name in one line when a connection comes, then echoes until EOF.

The listening sockets are inherited, so that they can be of any network namespace. Argument: JSON of {name: descriptor}.
Command: counts, which answers the number of connections that each took so far.
"""

from __future__ import annotations

import asyncio
import json
import resource
import socket
import sys
from collections import Counter
from functools import partial

from tests.e2e.child import obey


class Backend(asyncio.Protocol):
    """One connection to the endpoint `name`; `counts` is where it is counted."""

    def __init__(self, name: str, counts: Counter[str]) -> None:
        self._name = name
        self._counts = counts

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self._transport = transport
        self._counts[self._name] += 1
        transport.write(self._name.encode() + b"\n")

    def data_received(self, data: bytes) -> None:
        self._transport.write(data)


async def main() -> None:
    """Serve until the standard input closes."""
    hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    loop = asyncio.get_running_loop()
    taken: Counter[str] = Counter()
    for name, descriptor in json.loads(sys.argv[1]).items():
        listener = socket.socket(fileno=descriptor)
        await loop.create_server(partial(Backend, name, taken), sock=listener, backlog=4096)

    async def counts() -> dict[str, int]:
        return dict(taken)

    await obey({"counts": counts})


if __name__ == "__main__":
    asyncio.run(main())
