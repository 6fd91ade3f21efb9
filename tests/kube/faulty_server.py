"""An API server on loopback that holds Services, EndpointSlices and Nodes, and misbehaves when told to.

It keeps every write in a history, so that lists, streaming lists and watches from any version can be answered like a real
server's. A fault is a coroutine that answers one request instead of the server, or changes how the server does; see
`tests.kube.faults`.
"""

from __future__ import annotations

import asyncio
import json
from collections import defaultdict, deque
from collections.abc import Awaitable, Callable
from typing import Any

from aiohttp import web

PATHS = {
    "/api/v1/services": ("services", "Service", "v1"),
    "/apis/discovery.k8s.io/v1/endpointslices": ("endpointslices", "EndpointSlice", "discovery.k8s.io/v1"),
    "/api/v1/nodes": ("nodes", "Node", "v1"),
}

Object = dict[str, Any]
Fault = Callable[["FaultyServer", "Call"], Awaitable[web.StreamResponse | None]]


class Call:
    """One request: what it is for, and its parameters."""

    def __init__(self, request: web.Request) -> None:
        self.request = request
        self.resource, self.kind, self.api_version = PATHS[request.path]
        self.query = request.query
        if self.query.get("watch") not in ("true", "1"):
            self.verb = "list"
        else:
            self.verb = "stream-list" if "sendInitialEvents" in self.query else "watch"

    async def open_stream(self) -> web.StreamResponse:
        """Send the header of a watch answer."""
        response = web.StreamResponse(headers={"Content-Type": "application/json"})
        response.enable_chunked_encoding()
        await response.prepare(self.request)
        return response

    def cut(self) -> None:
        """Drop the connection without ending the answer."""
        if self.request.transport is not None:
            self.request.transport.abort()


def status(code: int, message: str, **headers: str) -> web.Response:
    """Return an error answer in the form of a real server."""
    body = {
        "kind": "Status",
        "apiVersion": "v1",
        "metadata": {},
        "status": "Failure",
        "message": message,
        "code": code,
    }
    return web.json_response(body, status=code, headers=headers)


class FaultyServer:
    """The server. `faults[verb]` are used up one by one, by requests of that verb (list, stream-list, watch)."""

    def __init__(self) -> None:
        self.objects: dict[str, dict[tuple[str, str], Object]] = defaultdict(dict)
        self.history: list[tuple[int, str, str, Object]] = []
        self.version = 1
        self.oldest = 1
        self.faults: dict[str, deque[Fault]] = defaultdict(deque)
        self.calls: list[Call] = []
        self.open_requests = 0
        self.token = ""
        self.port = 0
        self.bookmark_period = 0.05
        self.page_limit = 500
        self.know_streaming_list = True
        self.refused_field_selectors: set[str] = set()
        self._changed = asyncio.Event()
        self._paged: dict[tuple[str, int], list[Object]] = {}
        self._runner: web.AppRunner | None = None

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    async def start(self, ssl: Any = None) -> None:
        """Listen; after a stop, on the same port as before."""
        app = web.Application()
        app.router.add_get("/{path:.*}", self._answer)
        self._runner = web.AppRunner(app, shutdown_timeout=0.01, handler_cancellation=True)
        await self._runner.setup()
        site = web.TCPSite(self._runner, "127.0.0.1", self.port, ssl_context=ssl, reuse_address=True)
        await site.start()
        self.port = site._server.sockets[0].getsockname()[1]  # type: ignore[union-attr]

    async def stop(self) -> None:
        """Stop listening and cut every connection."""
        if self._runner is not None:
            await self._runner.cleanup()
            self._runner = None

    async def __aenter__(self) -> FaultyServer:
        await self.start()
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.stop()

    # ---- the objects ---------------------------------------------------------------------------------------------

    def put(self, resource: str, item: Object) -> None:
        """Create or update an object."""
        self.version += 1
        key = (item["metadata"].get("namespace", ""), item["metadata"]["name"])
        known = key in self.objects[resource]
        item = {**item, "metadata": {**item["metadata"], "resourceVersion": str(self.version)}}
        self.objects[resource][key] = item
        self._record(resource, "MODIFIED" if known else "ADDED", item)

    def delete(self, resource: str, namespace: str, name: str) -> None:
        """Delete an object, if it is there."""
        item = self.objects[resource].pop((namespace, name), None)
        if item is not None:
            self.version += 1
            gone = {**item, "metadata": {**item["metadata"], "resourceVersion": str(self.version)}}
            self._record(resource, "DELETED", gone)

    def compact(self) -> None:
        """Forget the history: watches from before now get 410."""
        self.oldest = self.version
        self.history.clear()
        self._paged.clear()
        self._wake()

    def inject(self, verb: str, *faults: Fault) -> None:
        """Let the next requests of `verb` meet these faults."""
        self.faults[verb].extend(faults)

    @property
    def faults_left(self) -> int:
        return sum(len(queue) for queue in self.faults.values())

    def _record(self, resource: str, kind: str, item: Object) -> None:
        self.history.append((self.version, resource, kind, item))
        self._wake()

    def _wake(self) -> None:
        self._changed.set()
        self._changed = asyncio.Event()

    # ---- the answers ---------------------------------------------------------------------------------------------

    async def _answer(self, request: web.Request) -> web.StreamResponse:
        if request.path not in PATHS:
            return web.Response(status=404, text="404 page not found\n")
        call = Call(request)
        self.calls.append(call)
        self.open_requests += 1
        try:
            return await self._answer_call(call)
        finally:
            self.open_requests -= 1

    async def _answer_call(self, call: Call) -> web.StreamResponse:
        request = call.request
        if self.token and request.headers.get("Authorization") != f"Bearer {self.token}":
            return status(401, "Unauthorized")
        queue = self.faults[call.verb]
        if queue:
            answer = await queue.popleft()(self, call)
            if answer is not None:
                return answer
        if call.query.get("fieldSelector") in self.refused_field_selectors:
            return status(400, f"field label not supported: {call.query['fieldSelector']}")
        return self.list(call) if call.verb == "list" else await self.watch(call)

    def list(self, call: Call) -> web.Response:
        """Answer a list; the continue token is version:position, and later pages are of the first one's version."""
        items = [self.objects[call.resource][key] for key in sorted(self.objects[call.resource])]
        version, start = self.version, 0
        if int(call.query.get("resourceVersion", "0")) > version:
            return status(504, f"Timeout: Too large resource version: {call.query['resourceVersion']}")
        if "continue" in call.query:
            version, start = (int(part) for part in call.query["continue"].split(":"))
            if version < self.oldest or (call.resource, version) not in self._paged:
                return status(410, "The provided continue parameter is too old")
            items = self._paged[call.resource, version]
        limit = min(int(call.query["limit"]), self.page_limit) if "limit" in call.query else len(items)
        metadata = {"resourceVersion": str(version)}
        if start + limit < len(items):
            self._paged[call.resource, version] = items
            metadata["continue"] = f"{version}:{start + limit}"
        body = {"kind": f"{call.kind}List", "apiVersion": call.api_version, "metadata": metadata}
        return web.json_response(body | {"items": items[start : start + limit] or None})

    async def watch(self, call: Call) -> web.StreamResponse:
        """Answer a watch, until the client goes or its timeoutSeconds are over."""
        response = await call.open_stream()
        since = int(call.query.get("resourceVersion") or 0)
        if call.verb == "stream-list" or not since:
            since = await self.send_initial(call, response, mark_end=self.know_streaming_list)
        ends = asyncio.get_running_loop().time() + float(call.query.get("timeoutSeconds", "300"))
        await self.follow(call, response, since, ends)
        return response

    async def send_initial(self, call: Call, response: web.StreamResponse, *, mark_end: bool) -> int:
        """Send everything there is as ADDED; return its version."""
        items, version = list(self.objects[call.resource].values()), self.version
        await response.write(b"".join(self.event(call, "ADDED", item) for item in items) or b"\n")
        if mark_end:
            await response.write(self.bookmark(call, version, initial_end=True))
        return version

    async def follow(self, call: Call, response: web.StreamResponse, since: int, ends: float) -> None:
        """Send events after `since`, and a bookmark whenever nothing else happened for a while."""
        loop = asyncio.get_running_loop()
        while loop.time() < ends:
            if since < self.oldest:
                await response.write(
                    self.error(call, 410, f"too old resource version: {since} ({self.oldest})")
                )
                return
            changed = self._changed
            news = [one for one in self.history if one[0] > since]
            since = max(since, self.version)
            lines = [
                self.event(call, kind, item) for _, resource, kind, item in news if resource == call.resource
            ]
            if lines:
                await response.write(b"".join(lines))
                continue
            try:
                await asyncio.wait_for(changed.wait(), min(self.bookmark_period, ends - loop.time()))
            except TimeoutError:
                await response.write(self.bookmark(call, since))

    def event(self, call: Call, kind: str, item: Object) -> bytes:
        """Return one line of a watch."""
        whole = {"kind": call.kind, "apiVersion": call.api_version, **item}
        return json.dumps({"type": kind, "object": whole}, separators=(",", ":")).encode() + b"\n"

    def bookmark(self, call: Call, version: int, *, initial_end: bool = False) -> bytes:
        """Return a bookmark line."""
        metadata: Object = {"resourceVersion": str(version)}
        if initial_end:
            metadata["annotations"] = {"k8s.io/initial-events-end": "true"}
        return self.event(call, "BOOKMARK", {"metadata": metadata})

    def error(self, call: Call, code: int, message: str) -> bytes:
        """Return an ERROR line."""
        item = {"kind": "Status", "apiVersion": "v1", "status": "Failure", "message": message, "code": code}
        return json.dumps({"type": "ERROR", "object": item}).encode() + b"\n"
