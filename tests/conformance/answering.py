"""Program: endpoints of the conformance cases in one namespace. Each answers with its name, over TCP and UDP.

Argument: JSON of {name: [address, port]}. Prints `ready`, then serves until the standard input closes.
"""

from __future__ import annotations

import asyncio
import json
import sys

from tests.e2e.child import obey


class Tcp(asyncio.Protocol):
    """Greets with the name."""

    def __init__(self, name: str) -> None:
        self._name = name

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        transport.write(self._name.encode() + b"\n")
        transport.close()


class Udp(asyncio.DatagramProtocol):
    """Answers each datagram with the name."""

    def __init__(self, name: str) -> None:
        self._name = name

    def connection_made(self, transport: asyncio.DatagramTransport) -> None:
        self._transport = transport

    def datagram_received(self, data: bytes, addr: tuple[str, int]) -> None:
        self._transport.sendto(self._name.encode() + b"\n", addr)


async def main() -> None:
    """Serve."""
    loop = asyncio.get_running_loop()
    for name, (address, port) in json.loads(sys.argv[1]).items():
        await loop.create_server(lambda name=name: Tcp(name), address, port)
        await loop.create_datagram_endpoint(lambda name=name: Udp(name), (address, port))
    print(json.dumps("ready"), flush=True)
    await obey({})


if __name__ == "__main__":
    asyncio.run(main())
