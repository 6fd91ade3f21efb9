"""The controllers' way to any API server: list and watch five kinds, write with plain HTTP.

Owns the transport. The session carries address, credentials and certificates, and belongs to the caller. A watch that ends is
begun again where it was; when the server no longer knows that version, the kind is listed anew and what vanished is told.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import random
from collections.abc import AsyncIterator
from typing import Any

import aiohttp
import msgspec
from aiohttp.http_exceptions import HttpProcessingError

from userproxy.errors import ApiError
from userproxy.standalone.conforming import WrongType, conform
from userproxy.standalone.controllers.cluster import WATCHED, Deliver, WriteFailed
from userproxy.standalone.kinds import Kind
from userproxy.standalone.objects import Json, key_of

log = logging.getLogger(__name__)

_PAGE = 500
_WATCH_SECONDS = 300
_SILENCE_SECONDS = 90.0
"""A watch that says nothing for so long, not even a bookmark (one a minute), is taken for dead."""
_ANSWER_SECONDS = 30.0
LARGEST_LINE = 4 * 1024 * 1024
"""Bytes of one event; etcd holds no object above 1.5 MiB."""
_FIRST_DELAY, _LONGEST_DELAY = 0.2, 30.0
_NONSENSE = (ValueError, KeyError, TypeError, AttributeError, HttpProcessingError)
"""What comes of answers that are not what an API server says; aiohttp raises the last for a line that is too long."""


class _Expired(Exception):
    """The server no longer knows the version from which the watch was to go on."""


class OverHttp:
    """A Cluster behind an HTTP session whose base URL is that of the API server."""

    def __init__(self, session: aiohttp.ClientSession) -> None:
        self._session = session

    @contextlib.asynccontextmanager
    async def follow(self, deliver: Deliver) -> AsyncIterator[None]:
        """Deliver what exists, then changes. Raises ApiError when the first lists cannot be had."""
        followers = [_Follower(self._session, kind, deliver) for kind in WATCHED]
        for follower in followers:
            try:
                await follower.list()
            except (aiohttp.ClientError, TimeoutError, *_NONSENSE) as fault:
                what = f"cannot list {follower.kind.plural}: {fault or 'no answer in time'}"
                raise ApiError(f"{what}: check the address and the rights of the user") from fault
        async with asyncio.TaskGroup() as group:
            tasks = [
                group.create_task(follower.run(), name=f"watch {follower.kind.plural}")
                for follower in followers
            ]
            try:
                yield
            finally:
                for task in tasks:
                    task.cancel()

    async def create(self, kind: Kind, item: Json) -> Json:
        """Create an object. Raises WriteFailed."""
        stored = await self._write("POST", _path(kind, item["metadata"]["namespace"]), item)
        return _understood(kind, stored)

    async def replace(self, kind: Kind, item: Json) -> Json:
        """Replace an object. Raises WriteFailed."""
        metadata = item["metadata"]
        path = f"{_path(kind, metadata['namespace'])}/{metadata['name']}"
        return _understood(kind, await self._write("PUT", path, item))

    async def delete(self, kind: Kind, item: Json) -> None:
        """Delete an object. Raises WriteFailed."""
        metadata = item["metadata"]
        path = f"{_path(kind, metadata['namespace'])}/{metadata['name']}"
        options = {
            "kind": "DeleteOptions",
            "apiVersion": "v1",
            "preconditions": {"uid": metadata["uid"]},
        }
        # gone already, or another object by now
        await self._write("DELETE", path, options, fine=(404, 409))

    async def _write(self, method: str, path: str, body: Json, fine: tuple[int, ...] = ()) -> Json:
        try:
            async with asyncio.timeout(_ANSWER_SECONDS):
                return await _call(self._session, method, path, body, fine)
        except (aiohttp.ClientError, TimeoutError, *_NONSENSE) as fault:
            raise WriteFailed(f"{method} {path} failed: {fault or 'no answer in time'}") from fault


class _Follower:
    """Lists and watches one kind."""

    def __init__(self, session: aiohttp.ClientSession, kind: Kind, deliver: Deliver) -> None:
        self.kind = kind
        self._session = session
        self._deliver = deliver
        self._known: set[str] = set()
        self._version = ""

    async def list(self) -> None:
        """Take in everything that exists and tell what does no longer."""
        seen: set[str] = set()
        query = {"limit": str(_PAGE)}
        while True:
            async with asyncio.timeout(_ANSWER_SECONDS):
                page = await _call(self._session, "GET", _path(self.kind), query=query)
            for item in page.get("items") or []:
                key = self._take(item)
                if key:
                    seen.add(key)
            metadata = page.get("metadata", {})
            if not metadata.get("continue"):
                break
            query = {"limit": str(_PAGE), "continue": metadata["continue"]}
        for key in self._known - seen:
            self._deliver(self.kind, key, None)
        self._known = seen
        self._version = metadata.get("resourceVersion", "")

    async def run(self) -> None:
        """Watch, and list again where that is needed, until cancelled."""
        delay = _FIRST_DELAY
        while True:
            began = asyncio.get_running_loop().time()
            try:
                if not self._version:
                    await self.list()
                await self._watch()
            except _Expired:
                self._version = ""
            except (aiohttp.ClientError, TimeoutError) as fault:
                log.info("watch of %s broke off: %s", self.kind.plural, fault or "silent for too long")
            except _NONSENSE as fault:
                # what the server means may be clearer in a list
                log.warning("watch of %s cannot be understood: %.200s", self.kind.plural, repr(fault))
                self._version = ""
            if asyncio.get_running_loop().time() - began > _LONGEST_DELAY:
                delay = _FIRST_DELAY
            await asyncio.sleep(delay * random.uniform(0.8, 1.2))
            delay = min(delay * 2, _LONGEST_DELAY)

    async def _watch(self) -> None:
        query = {
            "watch": "true",
            "resourceVersion": self._version,
            "allowWatchBookmarks": "true",
            "timeoutSeconds": str(_WATCH_SECONDS),
        }
        timeout = aiohttp.ClientTimeout(total=None, sock_read=_SILENCE_SECONDS)
        async with self._session.get(
            _path(self.kind), params=query, timeout=timeout, read_bufsize=LARGEST_LINE
        ) as response:
            if response.status == 410:
                raise _Expired
            response.raise_for_status()
            async for line in response.content:
                if not line.endswith(b"\n"):
                    raise ValueError("the stream ended within an event")
                self._on_event(msgspec.json.decode(line))

    def _on_event(self, event: Any) -> None:
        kind, item = event["type"], event["object"]
        if kind == "ERROR":
            if item.get("code") == 410:
                raise _Expired
            raise ValueError(str(item.get("message"))[:200])
        if kind == "DELETED":
            key = key_of(item)
            self._known.discard(key)
            self._deliver(self.kind, key, None)
        elif kind != "BOOKMARK":
            key = self._take(item)
            if key:
                self._known.add(key)
        self._version = item["metadata"]["resourceVersion"]

    def _take(self, item: Json) -> str:
        """Deliver an object and return its key; one that cannot be understood is named and left out."""
        try:
            made = conform(item, self.kind.shape).item
        except WrongType as fault:
            log.warning("%s %s is left out: %s", self.kind.kind, key_of(item), fault)
            return ""
        key = key_of(made)
        self._deliver(self.kind, key, made)
        return key


def _understood(kind: Kind, stored: Json) -> Json:
    try:
        item = conform(stored, kind.shape).item
        key_of(item), item["metadata"]["uid"], item["metadata"]["resourceVersion"]
    except (WrongType, KeyError) as fault:
        raise WriteFailed(f"the answer to a write is no {kind.kind}: {fault}") from fault
    return item


def _path(kind: Kind, namespace: str = "") -> str:
    root = f"/apis/{kind.group}/{kind.version}" if kind.group else f"/api/{kind.version}"
    return f"{root}/namespaces/{namespace}/{kind.plural}" if namespace else f"{root}/{kind.plural}"


async def _call(
    session: aiohttp.ClientSession,
    method: str,
    path: str,
    body: Json | None = None,
    fine: tuple[int, ...] = (),
    query: dict[str, str] | None = None,
) -> Json:
    """Return the decoded answer. Raises aiohttp.ClientError, and ValueError with the server's words for a refusal."""
    data = None if body is None else msgspec.json.encode(body)
    headers = {"Content-Type": "application/json"} if data is not None else {}
    async with session.request(method, path, data=data, headers=headers, params=query) as response:
        answer = msgspec.json.decode(await response.read() or b"{}")
        if not isinstance(answer, dict):
            raise ValueError(f"{response.status}: not an object")
        if response.status >= 400 and response.status not in fine:
            raise ValueError(f"{response.status}: {str(answer.get('message', response.reason))[:300]}")
        return answer
