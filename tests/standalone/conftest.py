"""A real API server on loopback for each test, and a small client that speaks plain HTTP with it."""

from __future__ import annotations

import asyncio
import contextlib
import io
import json
import time
from collections.abc import AsyncIterator, Callable
from typing import Any

import aiohttp
import pytest

from userproxy.standalone.addresses import ServiceAddresses, parse_service_cidr
from userproxy.standalone.api import ApiLimits
from userproxy.standalone.registry import Registry
from userproxy.standalone.server import ApiServer, open_listener
from userproxy.standalone.store import MemoryStore

SERVICES = "/api/v1/namespaces/default/services"
SLICES = "/apis/discovery.k8s.io/v1/namespaces/default/endpointslices"
MERGE = "application/merge-patch+json"


class Stream:
    """An open watch, read event by event."""

    def __init__(self, response: aiohttp.ClientResponse) -> None:
        self.response = response

    async def next(self, seconds: float = 5.0) -> dict[str, Any]:
        async with asyncio.timeout(seconds):
            line = await self.response.content.readline()
        if not line:
            raise EOFError("the watch has ended")
        event: dict[str, Any] = json.loads(line)
        return event

    async def rest(self, seconds: float = 5.0) -> list[dict[str, Any]]:
        async with asyncio.timeout(seconds):
            return [json.loads(line) async for line in self.response.content]


class Client:
    """Plain HTTP with one API server; `call` returns status and decoded body."""

    def __init__(self, session: aiohttp.ClientSession, server: ApiServer, registry: Registry) -> None:
        self.session = session
        self.server = server
        self.registry = registry
        self.url = f"http://{server.address}"

    async def call(
        self, method: str, path: str, body: Any = None, content_type: str = "application/json", **headers: str
    ) -> tuple[int, Any]:
        encoded = body if isinstance(body, bytes) else json.dumps(body).encode()
        data = None if body is None else io.BytesIO(encoded)
        if data is not None:
            headers["Content-Type"] = content_type
        async with self.session.request(method, self.url + path, data=data, headers=headers) as response:
            text = await response.text()
            is_json = response.content_type == "application/json"
            return response.status, json.loads(text) if is_json and text else text

    async def ok(
        self, method: str, path: str, body: Any = None, content_type: str = "application/json"
    ) -> Any:
        status, answer = await self.call(method, path, body, content_type)
        assert 200 <= status < 300, answer
        return answer

    @contextlib.asynccontextmanager
    async def watch(self, path: str, query: str = "") -> AsyncIterator[Stream]:
        async with self.session.get(f"{self.url}{path}?watch=1&{query}") as response:
            assert response.status == 200, await response.text()
            yield Stream(response)


def service(name: str, **spec: Any) -> dict[str, Any]:
    return {"metadata": {"name": name}, "spec": {"ports": [{"port": 80}], **spec}}


def endpoint_slice(name: str, *addresses: str, **metadata: Any) -> dict[str, Any]:
    return {
        "metadata": {"name": name, **metadata},
        "addressType": "IPv4",
        "endpoints": [{"addresses": [address], "conditions": {"ready": True}} for address in addresses],
        "ports": [{"port": 8080}],
    }


@contextlib.asynccontextmanager
async def serving(
    limits: ApiLimits | None = None,
    *,
    history: int = 4096,
    start: int | None = None,
    cidr: str = "10.96.0.0/16",
    now: Callable[[], float] = time.time,
) -> AsyncIterator[Client]:
    """Run an API server of its own for a block, with the clock `now`."""
    store = MemoryStore(start=start, history=history)
    registry = Registry(store, ServiceAddresses(store, parse_service_cidr(cidr)), now)
    registry.create_initial_objects()
    server = ApiServer(registry, open_listener("127.0.0.1:0"), limits)
    await server.start()
    try:
        async with aiohttp.ClientSession(read_bufsize=2**22) as session:
            yield Client(session, server, registry)
    finally:
        await server.stop()


@pytest.fixture
async def api() -> AsyncIterator[Client]:
    async with serving() as client:
        yield client
