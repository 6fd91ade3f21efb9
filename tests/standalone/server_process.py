"""A standalone API server without the proxy as a process of its own, to be killed: `DIRECTORY [option=value ...]`.

Prints its URL once it answers. Options: history (events kept of each kind), bind, tls, token.
"""

from __future__ import annotations

import asyncio
import sys
from pathlib import Path

import uvloop

from userproxy.standalone import durable
from userproxy.standalone.session import Standalone


async def serve(directory: str, options: dict[str, str]) -> None:
    if "history" in options:
        durable.DurableStore.__init__.__kwdefaults__["history"] = int(options["history"])
    standalone = Standalone(
        options.get("bind", "127.0.0.1:0"),
        node_name="here",
        data_directory=Path(directory),
        api_tls="tls" in options,
        api_token=options.get("token", "auto"),
    )
    try:
        await standalone.start()
        print(standalone.url, flush=True)
        await standalone.run()
    finally:
        await standalone.stop()


if __name__ == "__main__":
    try:
        uvloop.run(serve(sys.argv[1], dict(each.split("=", 1) for each in sys.argv[2:])))
    except (KeyboardInterrupt, asyncio.CancelledError):
        sys.exit(0)
