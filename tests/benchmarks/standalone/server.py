"""Program: the standalone API server with its controllers, without a proxy: `PORT [DATA-DIRECTORY]`. Prints `ready`."""

from __future__ import annotations

import asyncio
import signal
import sys
from pathlib import Path

import uvloop

from userproxy.standalone.session import Standalone
from userproxy.standalone.tuning import tune


async def main(port: str, directory: str = "") -> None:
    """Serve until SIGINT."""
    tune()
    stopping = asyncio.Event()
    asyncio.get_running_loop().add_signal_handler(signal.SIGINT, stopping.set)
    session = Standalone(
        f"127.0.0.1:{port}",
        node_name="here",
        service_cidr="10.96.0.0/12",
        data_directory=Path(directory) if directory else None,
    )
    try:
        await session.start()
        print("ready", flush=True)
        async with asyncio.TaskGroup() as group:
            running = group.create_task(session.run(), name="session")
            await stopping.wait()
            running.cancel()
    finally:
        await session.stop()


if __name__ == "__main__":
    uvloop.run(main(*sys.argv[1:]))
