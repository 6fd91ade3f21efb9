"""A client of the API that costs little itself: prepared requests over a few kept connections.

Owns requests and connections. What is sent, and what the times mean, is `scenario`'s business.
"""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import Iterable, Iterator
from typing import Any

CONNECTIONS = 16
JSON_TYPE, MERGE_TYPE = "application/json", "application/merge-patch+json"
STRATEGIC_TYPE = "application/strategic-merge-patch+json"


def request(method: str, path: str, body: Any = None, content_type: str = JSON_TYPE) -> bytes:
    """Return the bytes of a request."""
    text = b"" if body is None else json.dumps(body).encode()
    head = f"{method} {path} HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Length: {len(text)}\r\n"
    return f"{head}Content-Type: {content_type}\r\n\r\n".encode() + text


class Connection:
    """One kept connection; requests one after the other."""

    def __init__(self, address: tuple[str, int]) -> None:
        self._address = address

    async def __aenter__(self) -> Connection:
        self._reader, self._writer = await asyncio.open_connection(*self._address, limit=2**26)
        return self

    async def __aexit__(self, *_exception: object) -> None:
        self._writer.close()
        await self._writer.wait_closed()

    async def ask(self, data: bytes) -> bytes:
        """Send a request and return the body of its answer. Raises RuntimeError when it is refused."""
        self._writer.write(data)
        head = await self._reader.readuntil(b"\r\n\r\n")
        length = int(head.lower().split(b"content-length:")[1].split(b"\r\n")[0])
        body = await self._reader.readexactly(length)
        if not head.startswith((b"HTTP/1.1 200", b"HTTP/1.1 201")):
            raise RuntimeError(f"{data[:80]!r} was refused: {body[:300]!r}")
        return body


async def send_all(
    address: tuple[str, int], requests: Iterable[bytes], connections: int = CONNECTIONS
) -> float:
    """Send requests over several connections at once; return the seconds that took."""
    left = iter(requests)

    async def work(mine: Iterator[bytes]) -> None:
        async with Connection(address) as connection:
            for data in mine:
                await connection.ask(data)

    began = time.monotonic()
    async with asyncio.TaskGroup() as group:
        for number in range(connections):
            group.create_task(work(left), name=f"connection {number}")
    return time.monotonic() - began
