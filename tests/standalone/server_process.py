"""A standalone API server without the proxy as a process of its own, to be killed: `DIRECTORY [option=value ...]`.

Prints its URL once it answers. Options: history (events kept of each kind), bind, tls, token, and rbac=FILE: a second line
tells the URL of a second door to the same objects, where only what the Roles, ClusterRoles and bindings of FILE allow is done
(rbac_user=NAME chooses whose rights; default: the first service account that is bound). The first door has all rights.
"""

from __future__ import annotations

import asyncio
import contextlib
import sys
from collections.abc import AsyncIterator
from pathlib import Path

import uvloop

from userproxy.standalone import durable
from userproxy.standalone.certificates import server_certificate
from userproxy.standalone.rbac import parse_rules
from userproxy.standalone.registry import Registry
from userproxy.standalone.server import ApiServer, open_listener
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
        async with restricted(standalone.registry, directory, options) as url:
            if url:
                print(url, flush=True)
            await standalone.run()
    finally:
        await standalone.stop()


@contextlib.asynccontextmanager
async def restricted(registry: Registry, directory: str, options: dict[str, str]) -> AsyncIterator[str]:
    """Run the second door; yields its URL, empty when none is asked for. It takes the first one's token and certificate."""
    if "rbac" not in options:
        yield ""
        return
    rules = parse_rules(Path(options["rbac"]).read_text(), options.get("rbac_user", ""))
    tls, token = "tls" in options, ""
    if tls or options.get("token") == "required":
        token = (Path(directory) / "token").read_text().strip()
    context = server_certificate(Path(directory), ["localhost", "127.0.0.1"])[0] if tls else None
    server = ApiServer(registry, open_listener("127.0.0.1:0"), token=token, tls=context, rules=rules)
    await server.start()
    try:
        yield f"{'https' if tls else 'http'}://{server.address}"
    finally:
        await server.stop()


if __name__ == "__main__":
    try:
        uvloop.run(serve(sys.argv[1], dict(each.split("=", 1) for each in sys.argv[2:])))
    except (KeyboardInterrupt, asyncio.CancelledError):
        sys.exit(0)
