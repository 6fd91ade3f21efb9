"""Questions of `check` to a real standalone API server, and to servers that answer badly."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest
from aiohttp import web

from tests.standalone.conftest import Client, serving
from userproxy.kube.questions import ask_api
from userproxy.standalone.kinds import NODE


@pytest.fixture
async def api() -> AsyncIterator[Client]:
    async with serving() as client:
        yield client


async def test_a_server_tells_version_node_and_clock(api: Client) -> None:
    api.registry.create(NODE, "", {"metadata": {"name": "n1"}})
    answers = await ask_api("", api.url, "n1", permissions=True)
    assert answers.failure == ""
    assert answers.version.startswith("v1.")
    assert (answers.host, answers.node_status) == ("127.0.0.1", 200)
    assert answers.clock_skew is not None
    assert abs(answers.clock_skew) < 10
    asked = {(one.verb, one.resource) for one in answers.permissions}
    watched = {(verb, what) for verb in ("list", "watch") for what in ("services", "endpointslices", "nodes")}
    assert asked == watched | {("create", "events")}
    assert [one.resource for one in answers.permissions if not one.needed] == ["events"]
    assert all(one.allowed is not False for one in answers.permissions)


async def test_a_node_that_is_not_there(api: Client) -> None:
    answers = await ask_api("", api.url, "nobody", permissions=False)
    assert (answers.node_status, answers.permissions) == (404, ())


async def test_no_server_is_an_answer_too() -> None:
    answers = await ask_api("", "http://127.0.0.1:9", "n1", permissions=True)
    assert "connection refused" in answers.failure


@asynccontextmanager
async def answering(status: int, text: str) -> AsyncIterator[str]:
    async def handle(_request: web.BaseRequest) -> web.Response:
        return web.Response(status=status, text=text)

    runner = web.ServerRunner(web.Server(handle))
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    try:
        yield f"http://127.0.0.1:{runner.addresses[0][1]}"
    finally:
        await runner.cleanup()


@pytest.mark.parametrize(
    ("status", "text", "says"),
    [
        (401, "{}", "refused our credentials"),
        (500, "oh no", "500"),
        (200, "not json", ""),
        (200, "[1]", ""),
    ],
)
async def test_bad_answers_never_raise(status: int, text: str, says: str) -> None:
    async with answering(status, text) as url:
        answers = await ask_api("", url, "n1", permissions=True)
    assert says in answers.failure
    if not answers.failure:
        assert answers.version == "unknown version"
        assert {one.allowed for one in answers.permissions} == {None}
