"""Reading a kubeconfig: what is found in it, and one line without secrets when it cannot be used."""

from __future__ import annotations

import base64
import json
import logging
import os
import ssl
import sys
import time
from pathlib import Path
from typing import Any

import pytest

from tests.kube.certificates import Authority
from userproxy.errors import UsageError
from userproxy.kube.access import Access
from userproxy.kube.kubeconfig import read_kubeconfig

SECRET = "a-very-secret-token"

# The loader of kubernetes_asyncio uses datetime.utcnow, which newer Pythons warn of.
pytestmark = pytest.mark.filterwarnings("ignore:datetime.*utc:DeprecationWarning")


def kubeconfig(folder: Path, user: dict[str, Any], **cluster: Any) -> Path:
    """Write a kubeconfig of one context; JSON is YAML."""
    path = folder / "kubeconfig"
    config = {
        "apiVersion": "v1",
        "kind": "Config",
        "current-context": "here",
        "contexts": [{"name": "here", "context": {"cluster": "c", "user": "u"}}],
        "clusters": [{"name": "c", "cluster": {"server": "http://127.0.0.1:6443"} | cluster}],
        "users": [{"name": "u", "user": user}],
    }
    path.write_text(json.dumps(config))
    return path


async def read(path: Path, master: str = "", **environ: str) -> Access:
    return await read_kubeconfig(str(path), master, environ)


def plugin(folder: Path, body: str) -> dict[str, Any]:
    """Return a user whose exec plugin runs `body`, Python code that fills `status`."""
    script = folder / "plugin.py"
    answer = '{"apiVersion": "client.authentication.k8s.io/v1", "kind": "ExecCredential", "status": status}'
    script.write_text(f"import json, sys, time\nstatus = {{}}\n{body}\nprint(json.dumps({answer}))\n")
    command = {
        "apiVersion": "client.authentication.k8s.io/v1",
        "command": sys.executable,
        "args": [str(script)],
    }
    return {"exec": command}


async def test_token(tmp_path: Path) -> None:
    path = kubeconfig(tmp_path, {"token": SECRET})
    access = await read(path)
    assert (access.server, access.authorization, access.tls) == (
        "http://127.0.0.1:6443",
        f"Bearer {SECRET}",
        None,
    )
    assert [stamp[0] for stamp in access.files] == [str(path)]
    assert SECRET not in repr(access)


async def test_token_file_with_newline_relative_to_the_kubeconfig(tmp_path: Path) -> None:
    (tmp_path / "token").write_text(SECRET + "\n")
    access = await read(kubeconfig(tmp_path, {"tokenFile": "token"}))
    assert access.authorization == f"Bearer {SECRET}"
    assert str(tmp_path / "token") in [stamp[0] for stamp in access.files]


async def test_password(tmp_path: Path) -> None:
    access = await read(kubeconfig(tmp_path, {"username": "bob", "password": SECRET}))
    assert access.authorization == "Basic " + base64.b64encode(f"bob:{SECRET}".encode()).decode()


async def test_master_replaces_the_server(tmp_path: Path) -> None:
    access = await read(kubeconfig(tmp_path, {"token": SECRET}), "http://127.0.0.2:8001/")
    assert (access.server, access.authorization) == ("http://127.0.0.2:8001", f"Bearer {SECRET}")


async def test_client_certificate_and_authority(tmp_path: Path) -> None:
    authority = Authority(tmp_path / "pki", "test")
    certificate, key = authority.client
    user = {
        "client-certificate": str(certificate),
        "client-key-data": base64.b64encode(key.read_bytes()).decode(),
    }
    cluster = {
        "server": "https://127.0.0.1:6443",
        "certificate-authority": "pki/ca.crt",
        "tls-server-name": "kubernetes",
    }
    access = await read(kubeconfig(tmp_path, user, **cluster))
    assert access.tls is not None
    assert access.tls.verify_mode is ssl.CERT_REQUIRED
    assert access.tls_server_name == "kubernetes"
    files = {stamp[0] for stamp in access.files}
    assert {str(certificate), str(authority.ca)} <= files


async def test_keys_inside_the_kubeconfig_are_not_left_on_the_disk(
    tmp_path: Path, temporary_files: Path
) -> None:
    authority = Authority(tmp_path / "pki", "test")
    certificate, key, ca = (
        base64.b64encode(path.read_bytes()).decode() for path in (*authority.client, authority.ca)
    )
    user = {"client-certificate-data": certificate, "client-key-data": key}
    cluster = {"server": "https://127.0.0.1:6443", "certificate-authority-data": ca}
    path = kubeconfig(tmp_path, user, **cluster)
    before = set(temporary_files.iterdir()), len(os.listdir("/proc/self/fd"))
    for _ in range(2):
        access = await read(path)
        assert access.tls is not None
        assert access.tls.get_ca_certs()
        assert [stamp[0] for stamp in access.files] == [str(path)]
        assert (set(temporary_files.iterdir()), len(os.listdir("/proc/self/fd"))) == before


async def test_insecure_skip_tls_verify(tmp_path: Path) -> None:
    cluster = {"server": "https://127.0.0.1:6443", "insecure-skip-tls-verify": True}
    access = await read(kubeconfig(tmp_path, {"token": SECRET}, **cluster))
    assert access.tls is not None
    assert access.tls.verify_mode is ssl.CERT_NONE


async def test_proxy_url_goes_before_the_environment(tmp_path: Path) -> None:
    cluster = {"server": "http://10.0.0.1:6443"}
    path = kubeconfig(tmp_path, {"token": SECRET}, **cluster, **{"proxy-url": "http://proxy:1"})
    assert (await read(path, HTTP_PROXY="http://other:2")).proxy == "http://proxy:1"
    path = kubeconfig(tmp_path, {"token": SECRET}, **cluster)
    assert (await read(path, HTTP_PROXY="http://other:2")).proxy == "http://other:2"


async def test_exec_plugin_token_with_expiry(tmp_path: Path) -> None:
    stamp = "time.strftime('%Y-%m-%dT%H:%M:%SZ', time.gmtime(time.time() + 3600))"
    body = f"status = {{'token': '{SECRET}', 'expirationTimestamp': {stamp}}}"
    access = await read(kubeconfig(tmp_path, plugin(tmp_path, body)))
    assert access.authorization == f"Bearer {SECRET}"
    assert access.expires is not None
    assert 3500 < access.expires - time.time() < 3700


async def test_exec_plugin_client_certificate(tmp_path: Path) -> None:
    certificate, key = Authority(tmp_path / "pki", "test").client
    body = (
        f"status = {{'clientCertificateData': open({str(certificate)!r}).read(), "
        f"'clientKeyData': open({str(key)!r}).read()}}"
    )
    access = await read(kubeconfig(tmp_path, plugin(tmp_path, body), server="https://127.0.0.1:6443"))
    assert access.tls is not None
    assert access.authorization == ""


async def test_exec_plugin_that_hangs_is_ended(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("userproxy.kube.kubeconfig.EXEC_PLUGIN_SECONDS", 1)
    with pytest.raises(UsageError, match=r"exec: process returned 124"):
        await read(kubeconfig(tmp_path, plugin(tmp_path, "time.sleep(60)")))


GOOD = '{"name": "c", "cluster": {"server": "http://127.0.0.1:6443"}}'
CONTEXT = '{"name": "x", "context": {"cluster": "c", "user": "u"}}'
NO_USER = f'{{"name": "u", "token": "{SECRET}"}}'
UNUSABLE = {
    "empty": ("", "it is incomplete or malformed"),
    "text": ("just text", "it is incomplete or malformed"),
    "yaml": (f"users: [\n  token: {SECRET}\n :::", "it is not YAML"),
    "no context": (f'{{"clusters": [{GOOD}], "users": []}}', "Expected key current-context"),
    "unknown context": (
        f'{{"clusters": [{GOOD}], "contexts": [], "current-context": "x"}}',
        "Expected object with name x",
    ),
    "user without user": (
        f'{{"clusters": [{GOOD}], "contexts": [{CONTEXT}], "current-context": "x", "users": [{NO_USER}]}}',
        "Expected key user in",
    ),
}


@pytest.mark.parametrize(("text", "reason"), UNUSABLE.values(), ids=UNUSABLE.keys())
async def test_unusable_kubeconfig(
    tmp_path: Path, text: str, reason: str, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    path = tmp_path / "kubeconfig"
    path.write_text(text)
    await check_unusable(path, reason, caplog)


async def check_unusable(path: Path, reason: str, caplog: pytest.LogCaptureFixture) -> None:
    with pytest.raises(UsageError) as caught:
        await read(path)
    message = str(caught.value)
    assert message.startswith(f"kubeconfig {path}")
    assert reason in message
    assert "\n" not in message
    assert SECRET not in message + caplog.text
    assert caught.value.__cause__ is None
    assert caught.value.__suppress_context__ or caught.value.__context__ is None, "it can hold the whole file"


@pytest.mark.parametrize(
    ("user", "cluster", "reason"),
    [
        ({"tokenFile": "missing"}, {}, "No such file"),
        ({"token": SECRET + "\n\x01"}, {}, "characters that no token can have"),
        ({"token": SECRET}, {"server": "127.0.0.1:6443"}, "not the URL of a server"),
        ({"token": SECRET}, {"server": "http://bob:pw@127.0.0.1"}, "a user and password in the URL"),
        (
            {"token": SECRET},
            {"server": "https://127.0.0.1", "certificate-authority": "missing"},
            "File does not exist",
        ),
        ({"token": SECRET}, {"server": "https://127.0.0.1", "certificate-authority-data": "%%%"}, ""),
        (
            {"auth-provider": {"name": "oidc", "config": {"id-token": SECRET}}},
            {},
            "auth-provider oidc is not supported",
        ),
        ({"exec": {"command": "/nonexistent/plugin", "apiVersion": "v1"}}, {}, "exec: process returned 127"),
        ({"exec": {"command": "/nonexistent/plugin"}}, {}, "missing key 'apiVersion'"),
    ],
)
async def test_unusable_parts(
    tmp_path: Path,
    user: dict[str, Any],
    cluster: dict[str, Any],
    reason: str,
    caplog: pytest.LogCaptureFixture,
) -> None:
    await check_unusable(kubeconfig(tmp_path, user, **cluster), reason, caplog)


async def test_missing_kubeconfig(tmp_path: Path) -> None:
    with pytest.raises(UsageError) as caught:
        await read(tmp_path / "nothing")
    assert str(caught.value) == (
        f"kubeconfig {tmp_path / 'nothing'} cannot be used: No such file or directory; "
        "repair it or name another with --kubeconfig"
    )
