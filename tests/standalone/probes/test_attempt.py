"""Single attempts against real servers on loopback."""

from __future__ import annotations

import asyncio
import contextlib
import socket
from collections.abc import AsyncIterator

import pytest
from aiohttp import web

from userproxy.standalone.probes.attempt import Attempts
from userproxy.standalone.probes.declared import Probe


@contextlib.asynccontextmanager
async def attempts() -> AsyncIterator[Attempts]:
    made = Attempts()
    try:
        yield made
    finally:
        await made.close()


@contextlib.asynccontextmanager
async def answering(status: int, seen: list[web.BaseRequest]) -> AsyncIterator[int]:
    async def handle(request: web.BaseRequest) -> web.Response:
        seen.append(request)
        headers = {"Location": "http://127.0.0.1:1/"} if status == 302 else {}
        return web.Response(status=status, headers=headers, text="x" * 100_000)

    runner = web.ServerRunner(web.Server(handle, access_log=None), shutdown_timeout=0.1)
    await runner.setup()
    with socket.create_server(("127.0.0.1", 0)) as listener:
        await web.SockSite(runner, listener).start()
        try:
            yield listener.getsockname()[1]
        finally:
            await runner.cleanup()


@pytest.mark.parametrize(
    ("status", "well"), [(200, True), (204, True), (302, True), (404, False), (503, False)]
)
async def test_get(status: int, well: bool) -> None:
    seen: list[web.BaseRequest] = []
    async with answering(status, seen) as port, attempts() as made:
        probe = Probe("127.0.0.1", port, "http", "/ready?a=b", (("Host", "web.example"), ("X-A", "1")))
        failure = await made.failure(probe)
    assert failure == ("" if well else f"HTTP probe failed with statuscode: {status}")
    (request,) = seen
    assert (request.path_qs, request.host, request.headers["X-A"]) == ("/ready?a=b", "web.example", "1")
    assert request.headers["User-Agent"].startswith("kube-probe/")


async def test_connect() -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
        async with attempts() as made:
            assert await made.failure(Probe("127.0.0.1", port)) == ""
    async with attempts() as made:
        assert await made.failure(Probe("127.0.0.1", port))
        assert await made.failure(Probe("127.0.0.1", port, "http", "/"))


async def test_a_server_that_is_silent_fails_in_time() -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
        async with attempts() as made, asyncio.timeout(5):
            assert await made.failure(Probe("127.0.0.1", port, "http", "/", timeout=1))


async def test_a_server_that_speaks_something_else_fails() -> None:
    async def nonsense(_reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(b"SSH-2.0-OpenSSH\r\n" * 3)
        writer.close()
        with contextlib.suppress(ConnectionError):
            await writer.wait_closed()

    server = await asyncio.start_server(nonsense, "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    async with server, attempts() as made:
        assert await made.failure(Probe("127.0.0.1", port, "http", "/"))
        assert await made.failure(Probe("127.0.0.1", port, "https", "/"))
        assert await made.failure(Probe("127.0.0.1", port)) == ""
