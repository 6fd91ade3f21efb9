"""The recorded scenarios of a real API server, replayed by a server on loopback.

Owns the reading of `data/` and the replay. `replayed_stores` gives what came out, for tests of any layer.
"""

from __future__ import annotations

import asyncio
import gzip
import json
from functools import cache
from pathlib import Path
from typing import Any, NamedTuple

from aiohttp import web

from tests.kube.faulty_server import PATHS
from tests.kube.mirror import QUICK, Mirror, Objects, decoded, until
from userproxy.api_objects import Changes
from userproxy.kube.cluster import Cluster

DATA = Path(__file__).parent / "data"


class Replay(NamedTuple):
    """Every change delivered, the stores they make, and the stores that the recorded final lists make."""

    changes: tuple[Changes, ...]
    stores: dict[str, Objects]
    final: dict[str, Objects]


@cache
def recorded(name: str) -> Any:
    """Return a file of `data/`, parsed."""
    return json.loads(gzip.decompress((DATA / f"{name}.json.gz").read_bytes()))


def scenarios() -> list[str]:
    """Return the names of all scenarios."""
    return sorted(recorded("scenarios"))


async def replayed_stores(scenario: str, *, streaming_list: bool = True) -> Replay:
    """Replay one scenario to a `Cluster` and return what it delivered.

    Without `streaming_list` the server refuses it and gives lists, as servers before 1.32 do.
    """
    server = _ReplayServer(recorded("scenarios")[scenario], streaming_list)
    mirror = Mirror()
    url = await server.start()
    try:
        cluster = Cluster("", url, "", "", mirror.deliver, timing=QUICK)
        async with asyncio.TaskGroup() as group:
            running = group.create_task(cluster.run(), name="cluster")
            await until(lambda: len(server.finished) == 2)
            running.cancel()
    finally:
        await server.runner.cleanup()
    final = {
        name: decoded(name, each["final"]["items"]) for name, each in recorded("scenarios")[scenario].items()
    }
    return Replay(tuple(mirror.batches), mirror.stores, final)


class _ReplayServer:
    """Sends the recorded lines once and ends the stream; a watch from their last version shows that all were taken."""

    def __init__(self, scenario: Any, streaming_list: bool) -> None:
        self._scenario = scenario
        self._streaming_list = streaming_list
        self.finished: set[str] = set()

    async def start(self) -> str:
        app = web.Application()
        for path in PATHS:
            app.router.add_get(path, self._answer)
        self.runner = web.AppRunner(app, shutdown_timeout=0.01, handler_cancellation=True)
        await self.runner.setup()
        await web.TCPSite(self.runner, "127.0.0.1", 0).start()
        host, port = self.runner.addresses[0][:2]
        return f"http://{host}:{port}"

    async def _answer(self, request: web.Request) -> web.StreamResponse:
        resource = PATHS[request.path][0]
        lines, before = self._lines(resource), self._before(resource)
        last = json.loads(lines[-1])["object"]["metadata"]["resourceVersion"]
        query = request.query
        if "watch" not in query:
            return web.json_response({"metadata": {"resourceVersion": "1"}, "items": before})
        if "sendInitialEvents" in query and not self._streaming_list:
            return web.Response(status=422)
        response = web.StreamResponse()
        await response.prepare(request)
        if "sendInitialEvents" in query:
            mark = {"resourceVersion": "1", "annotations": {"k8s.io/initial-events-end": "true"}}
            events = [{"type": "ADDED", "object": item} for item in before]
            for event in [*events, {"type": "BOOKMARK", "object": {"metadata": mark}}]:
                await response.write(json.dumps(event).encode() + b"\n")
        elif query["resourceVersion"] == last:
            self.finished.add(resource)
            await asyncio.sleep(60)
        for line in lines:
            await response.write(line.encode() + b"\n")
        return response

    def _lines(self, resource: str) -> list[str]:
        lines: list[str] = self._scenario[resource]["watch"]
        return lines

    def _before(self, resource: str) -> list[Any]:
        """Return the objects that no line names: they were there all the time."""
        named = {_name(json.loads(line)["object"]) for line in self._lines(resource)}
        return [item for item in self._scenario[resource]["final"]["items"] if _name(item) not in named]


def _name(item: Any) -> tuple[str, str]:
    return item["metadata"].get("namespace", ""), item["metadata"]["name"]
