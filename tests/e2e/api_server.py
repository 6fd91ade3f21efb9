"""Program: the API server of the end-to-end tests, in a process of its own. Prints nothing but answers to commands.

Commands: url, put, delete, stop (as if the server were killed), start (on the same port).
"""

from __future__ import annotations

import asyncio
from typing import Any

from tests.e2e.child import obey
from tests.kube.faulty_server import FaultyServer

BOOKMARK_SECONDS = 1.0


async def main() -> None:
    """Serve until the standard input closes."""
    async with FaultyServer() as server:
        server.bookmark_period = BOOKMARK_SECONDS

        async def url() -> str:
            return server.url

        async def put(resource: str, item: dict[str, Any]) -> None:
            server.put(resource, item)

        async def delete(resource: str, namespace: str, name: str) -> None:
            server.delete(resource, namespace, name)

        await obey({"url": url, "put": put, "delete": delete, "stop": server.stop, "start": server.start})


if __name__ == "__main__":
    asyncio.run(main())
