"""A session with credentials: the token goes with each request and is renewed with its file."""

from __future__ import annotations

from pathlib import Path

import pytest
import yaml
from aiohttp import web
from aiohttp.test_utils import TestServer

from userproxy.errors import UsageError
from userproxy.kube.session import authenticated_session


async def seen() -> tuple[TestServer, list[str]]:
    tokens: list[str] = []

    async def answer(request: web.Request) -> web.Response:
        tokens.append(request.headers.get("Authorization", ""))
        return web.json_response({"path": request.path})

    app = web.Application()
    app.router.add_route("*", "/{path:.*}", answer)
    server = TestServer(app)
    await server.start_server()
    return server, tokens


def kubeconfig(path: Path, server: str, token: str) -> str:
    path.write_text(
        yaml.safe_dump(
            {
                "apiVersion": "v1",
                "kind": "Config",
                "clusters": [{"name": "c", "cluster": {"server": server}}],
                "users": [{"name": "u", "user": {"token": token}}],
                "contexts": [{"name": "x", "context": {"cluster": "c", "user": "u"}}],
                "current-context": "x",
            }
        )
    )
    return str(path)


async def test_the_token_goes_with_each_request_and_follows_its_file(tmp_path: Path) -> None:
    server, tokens = await seen()
    url = f"http://127.0.0.1:{server.port}"
    path = tmp_path / "config"
    async with authenticated_session(kubeconfig(path, url, "first"), "") as session:
        async with session.post("/api/v1/x", json={}) as response:
            assert (await response.json())["path"] == "/api/v1/x"
        path.unlink()
        kubeconfig(path, url, "second token")
        async with session.get("/api/v1/y") as response:
            assert response.status == 200
    assert tokens == ["Bearer first", "Bearer second token"]
    await server.close()


async def test_no_token_without_credentials() -> None:
    server, tokens = await seen()
    async with authenticated_session("", f"http://127.0.0.1:{server.port}") as session:
        async with session.get("/version") as response:
            assert response.status == 200
    assert tokens == [""]
    await server.close()


async def test_unusable_credentials_are_told_at_once(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="nothing-here"):
        async with authenticated_session(str(tmp_path / "nothing-here"), ""):
            pass
