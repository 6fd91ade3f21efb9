"""An API server with generated objects, so fast that it does not decide what is measured. Run as a process.

Owns lists, streaming lists and watches over HTTP/1.1, from bytes that are encoded once. No selectors, no access control, no
faults. The commands that change objects are those of `api_commands`.
"""

from __future__ import annotations

import argparse
import asyncio
import itertools
import json
from collections import deque
from collections.abc import Iterable, Sequence
from urllib.parse import parse_qsl, urlsplit

import uvloop

from tests.benchmarks.control.api_commands import Commands
from tests.benchmarks.control.cluster_objects import (
    KINDS,
    NODES,
    SERVICES,
    SLICES,
    Object,
    endpoint_slice,
    first_addresses,
    node,
    service,
)

BOOKMARK_SECONDS = 5.0
LINES_IN_A_CHUNK = 32
HISTORY = 8192
_HEAD = b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\n"


class Kind:
    """All objects of one kind, as JSON, and the streams that follow them."""

    def __init__(self, path: str) -> None:
        self.kind, self.api_version = KINDS[path]
        self.objects: dict[str, bytes] = {}
        self.history: deque[tuple[int, bytes]] = deque(maxlen=HISTORY)
        self.oldest = 0
        self.watches: set[asyncio.StreamWriter] = set()

    def put(self, version: int, item: Object) -> None:
        """Store an object and send the event to every watch."""
        name = item["metadata"]["name"]
        body = _json({"kind": self.kind, "apiVersion": self.api_version, **item})
        event = _event(b"MODIFIED" if name in self.objects else b"ADDED", body)
        self.objects[name] = body
        self.history.append((version, event))
        self.send(event)

    def send(self, line: bytes) -> None:
        """Send a line to every watch; the kernel has it when this returns, unless the client is behind."""
        for writer in self.watches:
            writer.write(_chunk(line))

    def expire(self, version: int) -> None:
        """End every watch with 410 Gone and forget the past."""
        gone = {"kind": "Status", "apiVersion": "v1", "status": "Failure", "reason": "Expired", "code": 410}
        self.send(_event(b"ERROR", _json({**gone, "message": f"too old resource version: ({version})"})))
        for writer in tuple(self.watches):
            writer.write(b"0\r\n\r\n")
        self.watches.clear()
        self.history.clear()
        self.oldest = version

    def bookmark(self, version: int, *, initial_end: bool = False) -> bytes:
        """Return a bookmark line."""
        annotations = {"k8s.io/initial-events-end": "true"} if initial_end else {}
        metadata = {"resourceVersion": str(version), "annotations": annotations}
        return _event(
            b"BOOKMARK", _json({"kind": self.kind, "apiVersion": self.api_version, "metadata": metadata})
        )


class GeneratedApi:
    """The server."""

    def __init__(self, services: int, endpoints: int) -> None:
        self.endpoints = endpoints
        self._version = 1000
        self._kinds = {path: Kind(path) for path in KINDS}
        self._kinds[NODES].put(self._next(), node(self._version))
        for number in range(services):
            self.put_service(number)
            self.put_slice(number, first_addresses(number, endpoints))

    @property
    def size(self) -> int:
        """Bytes of all objects."""
        return sum(len(body) for kind in self._kinds.values() for body in kind.objects.values())

    def put_service(self, number: int) -> None:
        """Store a Service and send the event."""
        version = self._next()
        self._kinds[SERVICES].put(version, service(number, version))

    def put_slice(self, number: int, addresses: Sequence[str]) -> None:
        """Store the slice of a Service and send the event."""
        version = self._next()
        self._kinds[SLICES].put(version, endpoint_slice(number, addresses, version))

    def expire(self) -> None:
        """End every watch with 410."""
        for kind in self._kinds.values():
            kind.expire(self._version)

    async def send_bookmarks(self) -> None:
        """Send bookmarks to idle watches until cancelled."""
        while True:
            await asyncio.sleep(BOOKMARK_SECONDS)
            for kind in self._kinds.values():
                kind.send(kind.bookmark(self._version))

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Answer the requests of one connection."""
        try:
            while True:
                head = await reader.readuntil(b"\r\n\r\n")
                target = urlsplit(head.split(b" ", 2)[1].decode())
                kind, query = self._kinds.get(target.path), dict(parse_qsl(target.query))
                if kind is None:
                    writer.write(b"HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\n\r\n")
                elif query.get("watch") in ("true", "1"):
                    await self._watch(kind, query, writer)
                else:
                    self._list(kind, query, writer)
        except (ConnectionError, asyncio.IncompleteReadError):
            pass
        finally:
            for known in self._kinds.values():
                known.watches.discard(writer)
            writer.close()

    def _list(self, kind: Kind, query: dict[str, str], writer: asyncio.StreamWriter) -> None:
        start = int(query.get("continue") or 0)
        end = start + int(query.get("limit") or len(kind.objects))
        following = str(end) if end < len(kind.objects) else ""
        metadata = _json({"resourceVersion": str(self._version), "continue": following})
        items = b",".join(itertools.islice(kind.objects.values(), start, end))
        head = f'{{"kind":"{kind.kind}List","apiVersion":"{kind.api_version}","metadata":'.encode()
        body = b"".join((head, metadata, b',"items":[', items, b"]}"))
        writer.write(_HEAD + b"Content-Length: %d\r\n\r\n" % len(body) + body)

    async def _watch(self, kind: Kind, query: dict[str, str], writer: asyncio.StreamWriter) -> None:
        writer.write(_HEAD + b"Transfer-Encoding: chunked\r\n\r\n")
        since = int(query.get("resourceVersion") or 0)
        if query.get("sendInitialEvents") == "true" or not since:
            since = self._version
            for lines in _batches(_event(b"ADDED", body) for body in tuple(kind.objects.values())):
                writer.write(_chunk(lines))
                await writer.drain()
            writer.write(_chunk(kind.bookmark(since, initial_end=True)))
        elif since < kind.oldest:
            kind.watches.add(writer)
            kind.expire(self._version)
            return
        for version, line in kind.history:
            if version > since:
                writer.write(_chunk(line))
        kind.watches.add(writer)

    def _next(self) -> int:
        self._version += 1
        return self._version


def _batches(lines: Iterable[bytes]) -> Iterable[bytes]:
    rest = iter(lines)
    while batch := b"".join(itertools.islice(rest, LINES_IN_A_CHUNK)):
        yield batch


def _event(kind: bytes, body: bytes) -> bytes:
    return b'{"type":"%s","object":%s}\n' % (kind, body)


def _chunk(data: bytes) -> bytes:
    return b"%x\r\n%s\r\n" % (len(data), data)


def _json(item: Object) -> bytes:
    return json.dumps(item, separators=(",", ":")).encode()


async def main(services: int, endpoints: int) -> None:
    """Serve until standard input ends."""
    api = GeneratedApi(services, endpoints)
    server = await asyncio.start_server(api.serve, "127.0.0.1", 0, backlog=128)
    host, port = server.sockets[0].getsockname()
    async with asyncio.TaskGroup() as group:
        bookmarks = group.create_task(api.send_bookmarks(), name="bookmarks")
        await Commands(api).run({"url": f"http://{host}:{port}", "bytes": api.size})
        bookmarks.cancel()
    server.close()


if __name__ == "__main__":
    parser = argparse.ArgumentParser()
    parser.add_argument("--services", type=int, required=True)
    parser.add_argument("--endpoints", type=int, required=True)
    chosen = parser.parse_args()
    uvloop.run(main(chosen.services, chosen.endpoints))
