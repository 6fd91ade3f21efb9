"""The doors of the API server: HTTP, HTTPS, unix socket, with and without the token, for kubectl and our own client."""

from __future__ import annotations

import asyncio
import os
import shutil
import socket
import ssl
import stat
import subprocess
from pathlib import Path

import aiohttp
import pytest
import yaml

from tests.standalone.test_kill import server
from userproxy.api_objects import Changes
from userproxy.errors import ListenError, UsageError
from userproxy.kube.cluster import Cluster
from userproxy.standalone.session import Standalone

KUBECTL = shutil.which("kubectl")


def token_of(kubeconfig: str) -> str:
    return str(yaml.safe_load(Path(kubeconfig).read_text())["users"][0]["user"]["token"])


async def status(session: aiohttp.ClientSession, url: str, token: str = "", **options: ssl.SSLContext) -> int:
    headers = {"Authorization": f"Bearer {token}"} if token else {}
    async with session.get(f"{url}/api/v1/services", headers=headers, **options) as response:
        return response.status


async def test_plain_http_needs_no_token_but_has_a_kubeconfig(tmp_path: Path) -> None:
    standalone = Standalone("127.0.0.1:0", data_directory=tmp_path)
    await standalone.start()
    try:
        assert not standalone.listeners.only_with_kubeconfig
        assert standalone.listeners.kubeconfig == str(tmp_path / "kubeconfig")
        async with aiohttp.ClientSession() as session:
            assert await status(session, standalone.url) == 200
    finally:
        await standalone.stop()


@pytest.mark.parametrize(("demand", "expected"), [("required", 403), ("none", 200), ("auto", 200)])
async def test_the_demand_for_a_token(tmp_path: Path, demand: str, expected: int) -> None:
    standalone = Standalone("127.0.0.1:0", data_directory=tmp_path, api_token=demand)
    await standalone.start()
    try:
        async with aiohttp.ClientSession() as session:
            assert await status(session, standalone.url) == expected
            assert await status(session, standalone.url, token_of(standalone.listeners.kubeconfig)) == 200
    finally:
        await standalone.stop()


async def test_in_memory_the_kubeconfig_goes_with_the_process() -> None:
    standalone = Standalone("127.0.0.1:0", api_token="required")
    await standalone.start()
    kubeconfig = Path(standalone.listeners.kubeconfig)
    assert stat.S_IMODE(kubeconfig.stat().st_mode) == 0o600
    await standalone.stop()
    assert not kubeconfig.parent.exists()


async def test_the_proxy_watches_with_the_kubeconfig(tmp_path: Path) -> None:
    standalone = Standalone("127.0.0.1:0", data_directory=tmp_path, api_token="required", node_name="here")
    await standalone.start()
    try:
        await seen_by_the_proxy(standalone.listeners.kubeconfig)
    finally:
        await standalone.stop()


async def seen_by_the_proxy(kubeconfig: str) -> None:
    """Return once every watch of a Cluster is in step."""
    changes: list[Changes] = []
    cluster = Cluster(kubeconfig, "", "here", "", changes.append, environ={})
    async with asyncio.TaskGroup() as group:
        task = group.create_task(cluster.run(), name="cluster")
        async with asyncio.timeout(10):
            while not all(state.listed and state.connected for state in cluster.watch_states()):
                await asyncio.sleep(0.02)
        task.cancel()
    assert changes


async def test_https(tmp_path: Path) -> None:
    standalone = Standalone("127.0.0.1:0", data_directory=tmp_path, api_tls=True)
    await standalone.start()
    try:
        assert standalone.url.startswith("https://127.0.0.1:")
        await seen_by_the_proxy(standalone.listeners.kubeconfig)
        trusting = ssl.create_default_context(cafile=tmp_path / "server.pem")
        async with aiohttp.ClientSession() as session:
            assert await status(session, standalone.url, ssl=trusting) == 403
            token = token_of(standalone.listeners.kubeconfig)
            assert await status(session, standalone.url, token, ssl=trusting) == 200
            with pytest.raises(aiohttp.ClientConnectorCertificateError):
                await status(session, standalone.url, token)
    finally:
        await standalone.stop()


async def test_a_unix_socket_and_the_port_beside_it(tmp_path: Path) -> None:
    path = tmp_path / "api.sock"
    standalone = Standalone(f"unix:{path}", data_directory=tmp_path / "data")
    await standalone.start()
    try:
        assert stat.S_IMODE(path.stat().st_mode) == 0o600
        token = token_of(standalone.listeners.kubeconfig)
        async with aiohttp.ClientSession(connector=aiohttp.UnixConnector(str(path))) as session:
            assert await status(session, "http://localhost") == 403
            assert await status(session, "http://localhost", token) == 200
            assert await status(session, "http://evil.example", token) == 403
        async with aiohttp.ClientSession() as session:
            assert await status(session, standalone.url) == 403
            assert await status(session, standalone.url, token) == 200
        again = Standalone(f"unix:{path}")
        with pytest.raises(ListenError, match="another program listens there"):
            await again.start()
        await again.stop()
        assert path.exists()
    finally:
        await standalone.stop()
        await standalone.stop()
    assert not path.exists()


async def test_a_unix_socket_without_a_demand_still_guards_the_port(tmp_path: Path) -> None:
    path = tmp_path / "api.sock"
    standalone = Standalone(f"unix:{path}", api_token="none")
    await standalone.start()
    try:
        async with aiohttp.ClientSession(connector=aiohttp.UnixConnector(str(path))) as session:
            assert await status(session, "http://localhost") == 200
        async with aiohttp.ClientSession() as session:
            assert await status(session, standalone.url) == 403
    finally:
        await standalone.stop()


async def test_the_socket_of_a_dead_process_is_replaced(tmp_path: Path) -> None:
    path = tmp_path / "api.sock"
    with socket.socket(socket.AF_UNIX) as dead:
        dead.bind(str(path))
    standalone = Standalone(f"unix:{path}")
    await standalone.start()
    await standalone.stop()
    path.write_text("a file")
    standalone = Standalone(f"unix:{path}")
    with pytest.raises(ListenError):
        await standalone.start()
    await standalone.stop()
    assert path.read_text() == "a file"


@pytest.mark.parametrize("address", ["unix:", "unix:relative", "unix:/" + "x" * 120])
async def test_bad_socket_paths(address: str) -> None:
    standalone = Standalone(address)
    with pytest.raises(UsageError, match="give unix:/path"):
        await standalone.start()
    await standalone.stop()


def test_an_unknown_demand_is_a_usage_error() -> None:
    with pytest.raises(UsageError, match="auto, required, none"):
        Standalone(api_token="maybe")


@pytest.mark.skipif(KUBECTL is None, reason="kubectl is not installed")
@pytest.mark.parametrize("options", [(), ("tls=1",), ("tls=1", "token=none"), ("tls=1", "bind=unix")])
def test_kubectl_with_the_kubeconfig(tmp_path: Path, options: tuple[str, ...]) -> None:
    given = [each.replace("bind=unix", f"bind=unix:{tmp_path / 'api.sock'}") for each in options]
    with server(tmp_path / "data", *given):
        environment = {
            **os.environ,
            "KUBECONFIG": str(tmp_path / "data" / "kubeconfig"),
            "HOME": str(tmp_path),
        }
        command = [str(KUBECTL), "get", "namespaces", "-o", "name"]
        done = subprocess.run(
            command, env=environment, capture_output=True, text=True, timeout=60, check=False
        )
        assert "namespace/default" in done.stdout, done.stderr


def test_the_credentials_stay_with_the_data(tmp_path: Path) -> None:
    with server(tmp_path, "token=required"):
        first = (tmp_path / "token").read_text()
    with server(tmp_path, "token=required"):
        assert (tmp_path / "token").read_text() == first
