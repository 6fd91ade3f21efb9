"""Events about Services: what is sent, how often, and that a server that refuses them harms nothing."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

from aiohttp import web

from userproxy.kube import events as module
from userproxy.kube.client import ApiClient
from userproxy.kube.credentials import Credentials
from userproxy.kube.events import EventRecorder
from userproxy.model import ServiceName

WEB = ServiceName("default", "web")


class Server:
    """A real HTTP server that has one Service and keeps the Events it is sent."""

    def __init__(self) -> None:
        self.events: list[dict[str, Any]] = []
        self.status = 201
        self.asked = 0

    async def service(self, request: web.Request) -> web.Response:
        assert request.query["fieldSelector"] == "metadata.name=web"
        return web.json_response(
            {"items": [{"metadata": {"name": "web", "uid": "u-1", "resourceVersion": "7"}}]}
        )

    async def event(self, request: web.Request) -> web.Response:
        self.asked += 1
        if self.status == 201:
            self.events.append(await request.json())
        return web.json_response({}, status=self.status)


@asynccontextmanager
async def recording() -> AsyncIterator[tuple[Server, EventRecorder]]:
    server = Server()
    app = web.Application()
    app.router.add_get("/api/v1/namespaces/default/services", server.service)
    app.router.add_post("/api/v1/namespaces/default/events", server.event)
    runner = web.AppRunner(app)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    url = f"http://127.0.0.1:{runner.addresses[0][1]}"
    try:
        async with (
            ApiClient(Credentials("", url, Path("/nowhere"), {}), 5, 5) as client,
            asyncio.TaskGroup() as group,
        ):
            recorder = EventRecorder(client, "n1")
            task = group.create_task(recorder.run(), name="events")
            yield server, recorder
            task.cancel()
    finally:
        await runner.cleanup()


async def until(server: Server, asked: int) -> None:
    async with asyncio.timeout(10):
        while server.asked < asked:
            await asyncio.sleep(0.01)


async def test_an_event_names_the_service_with_its_uid() -> None:
    async with recording() as (server, recorder):
        recorder.warn(WEB, "FailedToListen", "x" * 2000)
        await until(server, 1)
    [event] = server.events
    assert (event["type"], event["reason"], event["count"]) == ("Warning", "FailedToListen", 1)
    assert event["involvedObject"] == {
        "apiVersion": "v1",
        "kind": "Service",
        "namespace": "default",
        "name": "web",
        "uid": "u-1",
        "resourceVersion": "7",
    }
    assert len(event["message"]) == 1024
    assert event["source"] == {"component": "userproxy", "host": "n1"}
    assert event["metadata"]["name"].startswith("web.")


async def test_the_same_words_are_sent_once_in_a_while() -> None:
    async with recording() as (server, recorder):
        for _ in range(3):
            recorder.warn(WEB, "FailedToListen", "taken")
        recorder.warn(WEB, "FailedToListen", "taken by another")
        await until(server, 2)
    assert [event["message"] for event in server.events] == ["taken", "taken by another"]


async def test_a_refusal_is_counted_and_the_next_one_still_goes_out() -> None:
    async with recording() as (server, recorder):
        server.status = 403
        recorder.warn(WEB, "FailedToListen", "one")
        await until(server, 1)
        server.status = 201
        recorder.warn(WEB, "FailedToListen", "two")
        await until(server, 2)
        assert recorder.dropped == 1
    assert [event["message"] for event in server.events] == ["two"]


async def test_what_waits_and_what_is_remembered_is_bounded(monkeypatch: Any) -> None:
    monkeypatch.setattr(module, "MOST_REMEMBERED", 10)
    async with ApiClient(Credentials("", "http://127.0.0.1:9", Path("/nowhere"), {}), 5, 5) as client:
        recorder = EventRecorder(client, "n1")
        for number in range(module.MOST_WAITING + 50):
            recorder.warn(WEB, "FailedToListen", str(number))
        assert recorder.dropped == 50
        assert len(recorder._sent) == 10
