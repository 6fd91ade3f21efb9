"""Credentials that change while the watches run: a new token, an ended one, a new authority, a new client certificate."""

from __future__ import annotations

import logging
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from tests.kube.certificates import Authority
from tests.kube.faulty_server import FaultyServer
from tests.kube.mirror import NODE, QUICK, Mirror, until
from tests.kube.objects import service
from tests.kube.test_kubeconfig import kubeconfig, plugin
from tests.kube.watched import Watched, fill, run_until_done
from userproxy.errors import UsageError
from userproxy.kube.cluster import Cluster
from userproxy.kube.credentials import Credentials

pytestmark = pytest.mark.filterwarnings("ignore:datetime.*utc:DeprecationWarning")


def credentials(path: Path, master: str = "") -> Credentials:
    return Credentials(str(path), master, Path("/nonexistent"), {})


async def test_files_are_read_again_only_when_they_change(tmp_path: Path) -> None:
    path = kubeconfig(tmp_path, {"token": "one"})
    found = credentials(path)
    first = await found.current()
    assert await found.current() is first
    kubeconfig(tmp_path, {"token": "second"})
    assert (await found.current()).authorization == "Bearer second"


async def test_last_credentials_stay_while_the_file_is_broken(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    path = kubeconfig(tmp_path, {"token": "one"})
    found = credentials(path)
    first = await found.current()
    path.write_text("half writ")
    assert await found.current() is first
    assert await found.current() is first
    said = [record for record in caplog.records if "stay in use" in record.getMessage()]
    assert len(said) == 1
    kubeconfig(tmp_path, {"token": "two"})
    assert (await found.current()).authorization == "Bearer two"


async def test_unusable_at_start_raises(tmp_path: Path) -> None:
    with pytest.raises(UsageError):
        await credentials(tmp_path / "nothing").current()


async def test_renew_tells_whether_anything_is_new(tmp_path: Path) -> None:
    (tmp_path / "count").write_text("")
    count = str(tmp_path / "count")
    body = f"open({count!r}, 'a').write('x'); status = {{'token': 'token-%d' % len(open({count!r}).read())}}"
    found = credentials(kubeconfig(tmp_path, plugin(tmp_path, body)))
    first = await found.current()
    assert await found.renew(first)
    second = await found.current()
    assert (first.authorization, second.authorization) == ("Bearer token-1", "Bearer token-2")
    assert await found.renew(first), "another task has renewed it already"
    assert await found.current() is second
    plain = credentials(kubeconfig(tmp_path, {"token": "same"}))
    assert not await plain.renew(await plain.current())


async def test_token_that_is_about_to_end_is_renewed(tmp_path: Path) -> None:
    (tmp_path / "count").write_text("")
    count = str(tmp_path / "count")
    stamp = "time.strftime('%Y-%m-%dT%H:%M:%SZ', time.gmtime(time.time() + 5))"
    body = f"open({count!r}, 'a').write('x'); status = {{'token': 'a', 'expirationTimestamp': {stamp}}}"
    found = credentials(kubeconfig(tmp_path, plugin(tmp_path, body)))
    await found.current()
    await found.current()
    assert (tmp_path / "count").read_text() == "xx"


# ---- the same under running watches ------------------------------------------------------------------------------


def watching(server: FaultyServer, path: str, **options: Any) -> Watched:
    mirror = Mirror()
    cluster = Cluster(path, "", NODE, "", mirror.deliver, timing=QUICK, **options)
    return Watched(server, cluster, mirror)


async def test_token_replaced_after_401(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    """A plugin's new token is fetched when the old one is refused, once, and used at once."""
    caplog.set_level(logging.DEBUG)
    (tmp_path / "token").write_text("token-one")
    body = f"status = {{'token': open({str(tmp_path / 'token')!r}).read()}}"
    async with FaultyServer() as server:
        fill(server)
        server.token = "token-one"
        path = kubeconfig(tmp_path, plugin(tmp_path, body), server=server.url)
        async with run_until_done(watching(server, str(path))) as both:
            await until(both.equal)
            (tmp_path / "token").write_text("token-two")
            await server.stop()
            server.token = "token-two"
            server.put("services", service("new", "10.96.0.50"))
            await server.start()
            await both.settle()
            assert "http_401" not in both.restarts()
    assert "token-" not in caplog.text


async def test_refused_credentials_are_said_and_retried(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    async with FaultyServer() as server:
        fill(server)
        server.token = "good"
        path = kubeconfig(tmp_path, {"token": "bad"}, server=server.url)
        async with run_until_done(watching(server, str(path))) as both:
            await until(lambda: both.restarts().get("http_401", 0) >= 2)
            assert "401 Unauthorized" in both.state().last_error
            kubeconfig(tmp_path, {"token": "good"}, server=server.url)
            await both.settle()
    assert "refused our credentials" in caplog.text
    assert "Bearer" not in caplog.text


async def test_service_account_rotates(tmp_path: Path) -> None:
    """In a Pod: TLS by the mounted authority, a token with a newline; then both are replaced, as the kubelet does."""
    old, new = Authority(tmp_path / "old", "old"), Authority(tmp_path / "new", "new")
    account = tmp_path / "account"
    account.mkdir()
    (account / "ca.crt").write_bytes(old.ca.read_bytes())
    (account / "token").write_text("one\n")
    server = FaultyServer()
    fill(server)
    server.token = "one"
    await server.start(old.server_context())
    try:
        environ = {"KUBERNETES_SERVICE_HOST": "127.0.0.1", "KUBERNETES_SERVICE_PORT": str(server.port)}
        async with run_until_done(watching(server, "", service_account=account, environ=environ)) as both:
            await until(both.equal)
            await server.stop()
            server.token = "two"
            await server.start(new.server_context())
            await until(lambda: "tls" in both.restarts())
            assert "cannot be trusted" in both.state().last_error
            (account / "ca.crt").write_bytes(new.ca.read_bytes())
            (account / "token").write_text("two\n")
            await both.settle()
    finally:
        await server.stop()


async def test_client_certificate(tmp_path: Path) -> None:
    authority = Authority(tmp_path / "pki", "test")
    certificate, key = authority.client
    server = FaultyServer()
    fill(server)
    await server.start(authority.server_context(demand_client=True))
    try:
        path = kubeconfig(
            tmp_path,
            {"client-certificate": str(certificate), "client-key": str(key)},
            **{"server": f"https://127.0.0.1:{server.port}", "certificate-authority": str(authority.ca)},
        )
        async with run_until_done(watching(server, str(path))) as both:
            await both.settle()
    finally:
        await server.stop()


def test_master_alone_does_not_import_the_kubernetes_client() -> None:
    code = """
import asyncio, sys
from userproxy.kube.cluster import Cluster
async def main():
    await Cluster("", "http://127.0.0.1:1", "", "", print).prepare()
asyncio.run(main())
print([name for name in sys.modules if name.startswith("kubernetes_asyncio")])
"""
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, timeout=60, check=True
    )
    assert done.stdout == "[]\n"
