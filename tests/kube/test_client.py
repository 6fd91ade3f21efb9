"""Requests to the API server: bounds, redirects, proxies, and failures in words."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
from aiohttp import web

from userproxy.kube import client as client_module
from userproxy.kube.client import ApiClient
from userproxy.kube.credentials import Credentials
from userproxy.kube.failures import RequestFailed

Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]


@asynccontextmanager
async def serving(handler: Handler) -> AsyncIterator[str]:
    app = web.Application()
    app.router.add_route("*", "/{path:.*}", handler)
    runner = web.AppRunner(app, shutdown_timeout=0.01, handler_cancellation=True)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    try:
        yield "http://{}:{}".format(*runner.addresses[0][:2])
    finally:
        await runner.cleanup()


def client(master: str, environ: Mapping[str, str] | None = None, read_timeout: float = 0.5) -> ApiClient:
    return ApiClient(Credentials("", master, Path("/nonexistent"), environ or {}), 0.5, read_timeout)


async def failure(master: str, environ: Mapping[str, str] | None = None) -> RequestFailed:
    async with client(master, environ) as api:
        with pytest.raises(RequestFailed) as caught:
            await api.fetch("/api/v1/services", {}, "list services")
        return caught.value


async def test_body_and_query() -> None:
    async def handler(request: web.Request) -> web.Response:
        return web.Response(text=request.path_qs)

    async with serving(handler) as url, client(url + "/prefix") as api:
        query = {
            "labelSelector": "!service.kubernetes.io/service-proxy-name",
            "fieldSelector": "spec.clusterIP!=None",
        }
        body = await api.fetch("/api/v1/services", query, "list services")
        assert body.startswith(b"/prefix/api/v1/services?labelSelector=!service.kubernetes.io")
        assert b"fieldSelector=spec.clusterIP!%3DNone" in body


async def test_packed_answers_are_unpacked() -> None:
    async def handler(request: web.Request) -> web.Response:
        assert "gzip" in request.headers["Accept-Encoding"]
        response = web.Response(text="x" * 100_000)
        response.enable_compression(web.ContentCoding.gzip)
        return response

    async with serving(handler) as url, client(url) as api:
        assert await api.fetch("/", {}, "x") == b"x" * 100_000


async def test_answer_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(client_module, "MAX_BODY_BYTES", 1000)

    async def handler(request: web.Request) -> web.StreamResponse:
        response = web.StreamResponse()
        await response.prepare(request)
        while True:
            await response.write(b"x" * 100)
            await asyncio.sleep(0)

    async with serving(handler) as url:
        failed = await failure(url)
    assert failed.reason == "too_long"


async def test_broken_packing_is_a_failure() -> None:
    async def handler(request: web.Request) -> web.Response:
        return web.Response(body=b"this is not gzip", headers={"Content-Encoding": "gzip"})

    async with serving(handler) as url:
        assert (await failure(url)).reason in ("cut", "connect")


async def test_redirects_are_not_followed() -> None:
    """A token must not travel to wherever an answer points."""

    async def handler(request: web.Request) -> web.Response:
        return web.Response(status=302, headers={"Location": "http://127.0.0.1:1/"})

    async with serving(handler) as url:
        assert (await failure(url)).status == 302


@pytest.mark.parametrize(
    ("status", "headers", "relist", "retry_after", "words"),
    [
        (503, {}, False, 0.0, "answered 503 Service Unavailable when asked to list services: two lines"),
        (429, {"Retry-After": "7"}, False, 7.0, "429 Too Many Requests"),
        (429, {"Retry-After": "86400"}, False, 60.0, "429"),
        (429, {"Retry-After": "Fri, 31 Dec 2027 23:59:59 GMT"}, False, 0.0, "429"),
        (410, {}, True, 0.0, "410 Gone"),
        (404, {}, True, 0.0, "404 Not Found"),
        (401, {}, False, 0.0, "refused our credentials (401 Unauthorized)"),
        (403, {}, False, 0.0, "we have no right to list services"),
        (599, {}, False, 0.0, "599 unknown status"),
    ],
)
async def test_answers_in_words(
    status: int, headers: dict[str, str], relist: bool, retry_after: float, words: str
) -> None:
    async def handler(request: web.Request) -> web.Response:
        return web.Response(status=status, text="two\nlines", headers=headers)

    async with serving(handler) as url:
        failed = await failure(url)
    assert (failed.status, failed.relist, failed.retry_after) == (status, relist, retry_after)
    assert failed.reason == f"http_{status}"
    assert words in str(failed)
    assert "\n" not in str(failed)


async def test_nobody_there() -> None:
    failed = await failure("http://127.0.0.1:1")
    assert failed.reason == "refused"
    assert str(failed) == (
        "the API server http://127.0.0.1:1 cannot be reached: connection refused; is the API server running there?"
    )


async def test_not_http_and_not_tls() -> None:
    async def talk(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(b"SSH-2.0-OpenSSH_9.2\r\n")
        await writer.drain()
        writer.close()

    server = await asyncio.start_server(talk, "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    async with server:
        assert (await failure(f"http://127.0.0.1:{port}")).reason in ("http", "cut")
        assert (await failure(f"https://127.0.0.1:{port}")).reason in ("tls", "cut")


async def test_no_answer_in_time() -> None:
    async def handler(request: web.Request) -> web.Response:
        await asyncio.sleep(30)
        return web.Response()

    async with serving(handler) as url:
        assert (await failure(url)).reason == "timeout"


async def test_proxy_is_used_and_its_password_never_told() -> None:
    seen: list[str] = []

    async def proxy(request: web.Request) -> web.Response:
        seen.append(str(request.url))
        return web.Response(text="through the proxy")

    async with serving(proxy) as url:
        environ = {"HTTP_PROXY": url.replace("http://", "http://bob:secret@")}
        async with client("http://10.255.255.1:6443", environ) as api:
            assert await api.fetch("/version", {}, "x") == b"through the proxy"
    assert seen == ["http://10.255.255.1:6443/version"]
    failed = await failure("http://10.255.255.1:6443", {"HTTP_PROXY": "http://bob:secret@127.0.0.1:1"})
    assert "secret" not in str(failed)
    failed = await failure("http://10.255.255.1:6443", {"HTTP_PROXY": "socks5://bob:secret@127.0.0.1:1"})
    assert failed.reason == "credentials"
    assert "SOCKS is not supported" in str(failed)
    assert "secret" not in str(failed)


async def test_use_outside_of_its_context_is_a_bug() -> None:
    with pytest.raises(RuntimeError):
        await client("http://127.0.0.1:1").fetch("/", {}, "x")
