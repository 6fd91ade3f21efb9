"""The same controllers against an API server over HTTP: what they write, and that they survive its end."""

from __future__ import annotations

import asyncio
import contextlib
import json
import socket
from collections.abc import AsyncIterator, Callable

import aiohttp
import pytest
from aiohttp import web

from tests.standalone.conftest import Client, serving
from tests.standalone.controllers.scenes import new_registry, pod, ready_addresses, service, slices, stored
from userproxy.errors import ApiError
from userproxy.standalone.controllers.loop import Controllers
from userproxy.standalone.controllers.over_http import LARGEST_LINE, OverHttp
from userproxy.standalone.deletion import DeleteOptions
from userproxy.standalone.kinds import ENDPOINT_SLICE, ENDPOINTS, POD, SERVICE, Kind
from userproxy.standalone.objects import Json
from userproxy.standalone.server import ApiServer, open_listener


async def until(holds: Callable[[], bool]) -> None:
    async with asyncio.timeout(10):
        while not holds():
            await asyncio.sleep(0.01)


@contextlib.asynccontextmanager
async def controlling(api: Client) -> AsyncIterator[Controllers]:
    async with aiohttp.ClientSession(api.url) as session:
        controllers = Controllers(OverHttp(session), workers=4)
        async with controllers.following(), asyncio.TaskGroup() as group:
            running = group.create_task(controllers.run(), name="controllers")
            yield controllers
            running.cancel()


async def test_the_life_of_a_service(api: Client) -> None:
    registry = api.registry
    registry.create(POD, "default", pod("a", "10.0.0.1"))
    registry.create(SERVICE, "default", service("early"))
    async with controlling(api):
        await until(lambda: ready_addresses(registry) == ["10.0.0.1"])
        for number in range(20):
            registry.create(SERVICE, "default", service(f"s{number}"))
        await until(lambda: ready_addresses(registry) == ["10.0.0.1"] * 21)
        registry.create(POD, "default", pod("b", "10.0.0.2"))
        await until(lambda: ready_addresses(registry) == ["10.0.0.1"] * 21 + ["10.0.0.2"] * 21)
        registry.delete(POD, "default", "a", DeleteOptions(grace=0))
        await until(lambda: ready_addresses(registry) == ["10.0.0.2"] * 21)
        await until(lambda: len(stored(registry, ENDPOINTS)) == 21)
        for number in range(20):
            registry.delete(SERVICE, "default", f"s{number}")
        await until(lambda: len(slices(registry)) == 1)
        await until(lambda: len(stored(registry, ENDPOINTS)) == 1)


async def test_it_comes_to_rest(api: Client) -> None:
    registry = api.registry
    async with controlling(api):
        registry.create(POD, "default", pod("a", "10.0.0.1"))
        registry.create(SERVICE, "default", service("web"))
        await until(lambda: len(stored(registry, ENDPOINTS)) == 1 and len(slices(registry)) == 1)
        async with asyncio.timeout(10):
            version = -1
            while registry.store.version != version:
                version = registry.store.version
                await asyncio.sleep(0.5)


async def test_what_others_change_is_repaired(api: Client) -> None:
    registry = api.registry
    registry.create(POD, "default", pod("a", "10.0.0.1"))
    registry.create(SERVICE, "default", service("web"))
    async with controlling(api):
        await until(lambda: ready_addresses(registry) == ["10.0.0.1"])
        name = slices(registry)[0]["metadata"]["name"]
        registry.change(ENDPOINT_SLICE, "default", name, lambda item: item | {"endpoints": []})
        await until(lambda: ready_addresses(registry) == ["10.0.0.1"])
        registry.delete(ENDPOINT_SLICE, "default", name)
        await until(lambda: ready_addresses(registry) == ["10.0.0.1"])


async def test_changes_made_while_a_version_expires_are_found() -> None:
    """With a history of a few events, a watch that was cut off cannot go on and lists again."""
    async with serving(history=4) as api:
        registry = api.registry
        registry.create(SERVICE, "default", service("web"))
        for number in range(9):
            registry.create(POD, "default", pod(f"p{number}", f"10.0.0.{number}"))
        async with controlling(api):
            await until(lambda: len(ready_addresses(registry)) == 9)
            api.server._api.end_watches()
            for number in range(9):
                registry.delete(POD, "default", f"p{number}", DeleteOptions(grace=0))
            registry.create(POD, "default", pod("new", "10.0.1.1"))
            await until(lambda: ready_addresses(registry) == ["10.0.1.1"])


async def test_no_server_is_told_at_once() -> None:
    async with serving() as api:
        url = api.url
    async with aiohttp.ClientSession(url) as session:
        with pytest.raises(ApiError, match="cannot list nodes"):
            async with Controllers(OverHttp(session)).following():
                pass


async def test_a_server_that_comes_back_is_followed_again() -> None:
    registry = new_registry()
    registry.create(SERVICE, "default", service("web"))
    registry.create(POD, "default", pod("a", "10.0.0.1"))
    server = ApiServer(registry, open_listener("127.0.0.1:0"))
    await server.start()
    async with aiohttp.ClientSession(f"http://{server.address}") as session:
        controllers = Controllers(OverHttp(session))
        async with controllers.following(), asyncio.TaskGroup() as group:
            running = group.create_task(controllers.run(), name="controllers")
            await until(lambda: ready_addresses(registry) == ["10.0.0.1"])
            await server.stop()
            registry.create(POD, "default", pod("b", "10.0.0.2"))
            registry.delete(POD, "default", "a", DeleteOptions(grace=0))
            await asyncio.sleep(0.3)
            assert ready_addresses(registry) == ["10.0.0.1"]
            server = ApiServer(registry, open_listener(server.address))
            await server.start()
            await until(lambda: ready_addresses(registry) == ["10.0.0.2"])
            running.cancel()
    await server.stop()


GARBAGE = (
    b'{"type":"ADDED"}\n',
    b"{}\n",
    b"[]\n",
    b"not json at all\n",
    b'{"type":"ADDED","object":{"metadata":{"na',
    b'{"type":"ERROR","object":{"kind":"Status","code":410}}\n',
    b'{"type":"ERROR","object":{"kind":"Status","code":500,"message":"no"}}\n',
    b"x" * (LARGEST_LINE * 3) + b"\n",
)


@pytest.mark.parametrize("garbage", GARBAGE, ids=lambda line: line[:24].decode())
async def test_what_cannot_be_understood_leads_to_what_is_true(garbage: bytes) -> None:
    """The first watch of Pods says something strange; afterwards the server tells of a Pod more and of one less."""
    watches: list[str] = []
    ends = asyncio.Event()

    async def handle(request: web.BaseRequest) -> web.StreamResponse:
        is_pods = request.path.endswith("/pods")
        later = bool(watches)
        if "watch" not in request.query:
            names = (["b", "c"] if later else ["a", "b"]) if is_pods else []
            items = [{"metadata": {"name": name, "namespace": "d", "uid": name}} for name in names]
            return web.json_response({"metadata": {"resourceVersion": "5"}, "items": items})
        response = web.StreamResponse()
        await response.prepare(request)
        if is_pods:
            watches.append(request.query["resourceVersion"])
            if not later:
                with contextlib.suppress(ConnectionError):
                    await response.write(garbage)
                return response
            if request.query["resourceVersion"] == "5":
                gone = {"metadata": {"name": "a", "namespace": "d", "resourceVersion": "6"}}
                come = {"metadata": {"name": "c", "namespace": "d", "uid": "c", "resourceVersion": "7"}}
                for kind, item in (("DELETED", gone), ("ADDED", come)):
                    await response.write(json.dumps({"type": kind, "object": item}).encode() + b"\n")
        await ends.wait()
        return response

    known: set[str] = set()

    def deliver(kind: Kind, key: str, current: Json | None) -> None:
        if kind is POD:
            known.discard(key) if current is None else known.add(key)

    runner = web.ServerRunner(web.Server(handle, access_log=None), shutdown_timeout=0.1)
    await runner.setup()
    with socket.create_server(("127.0.0.1", 0)) as listener:
        await web.SockSite(runner, listener).start()
        async with aiohttp.ClientSession(f"http://127.0.0.1:{listener.getsockname()[1]}") as session:
            async with OverHttp(session).follow(deliver):
                assert known == {"d/a", "d/b"}
                await until(lambda: known == {"d/b", "d/c"})
        ends.set()
        await runner.cleanup()
