"""What a Pod is given: its address of the API server, token and authority; one line when something of it is missing."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from tests.kube.certificates import Authority
from userproxy.errors import UsageError
from userproxy.kube.service_account import read_service_account

SECRET = "a-very-secret-token"
IN_A_POD = {"KUBERNETES_SERVICE_HOST": "10.96.0.1", "KUBERNETES_SERVICE_PORT": "443"}


@pytest.fixture(scope="module")
def authority(tmp_path_factory: pytest.TempPathFactory) -> bytes:
    return Authority(tmp_path_factory.mktemp("test") / "pki", "test").ca.read_bytes()


@pytest.fixture
def account(tmp_path: Path, authority: bytes) -> Path:
    (tmp_path / "token").write_text(SECRET + "\n")
    (tmp_path / "ca.crt").write_bytes(authority)
    return tmp_path


@pytest.mark.parametrize(("host", "server"), [("10.96.0.1", "10.96.0.1"), ("fd00::1", "[fd00::1]")])
def test_service_account(account: Path, host: str, server: str) -> None:
    environ = IN_A_POD | {"KUBERNETES_SERVICE_HOST": host, "HTTPS_PROXY": "http://proxy:3128"}
    access = read_service_account(account, environ)
    assert (access.server, access.authorization) == (f"https://{server}:443", f"Bearer {SECRET}")
    assert access.proxy == "http://proxy:3128"
    assert access.tls is not None
    assert access.tls.check_hostname
    assert [stamp[0] for stamp in access.files] == [str(account / "token"), str(account / "ca.crt")]


def test_outside_of_a_pod(account: Path) -> None:
    with pytest.raises(UsageError, match=r"give --kubeconfig FILE or --master URL"):
        read_service_account(account, {})


@pytest.mark.parametrize(
    ("name", "content", "reason"),
    [
        ("token", None, "token: No such file or directory"),
        ("token", b"\n", "token: empty"),
        ("token", b"\xff\xfe", "token: not text"),
        ("ca.crt", None, "ca.crt: No such file or directory"),
        ("ca.crt", b"", "no certificate or crl found"),
    ],
)
def test_files_that_cannot_be_used(account: Path, name: str, content: bytes | None, reason: str) -> None:
    if content is None:
        (account / name).unlink()
    else:
        (account / name).write_bytes(content)
    with pytest.raises(UsageError) as caught:
        read_service_account(account, IN_A_POD)
    assert str(caught.value).startswith(f"the service account in {account} cannot be used: ")
    assert reason in str(caught.value)
    assert SECRET not in str(caught.value)


@pytest.mark.parametrize(
    ("port", "reason"), [("", "KUBERNETES_SERVICE_PORT is not set"), ("http", "not the URL of a server")]
)
def test_ports_that_cannot_be_used(account: Path, port: str, reason: str) -> None:
    with pytest.raises(UsageError, match=reason):
        read_service_account(account, IN_A_POD | {"KUBERNETES_SERVICE_PORT": port})


def test_a_token_with_other_characters_is_not_shown(account: Path) -> None:
    (account / "token").write_text("secret\x01token")
    with pytest.raises(UsageError, match="is it the right file") as caught:
        read_service_account(account, IN_A_POD)
    assert "secret" not in str(caught.value)


def test_the_models_of_every_kind_are_not_imported(account: Path) -> None:
    """They would cost each node 38 MiB and a third of a second at each start."""
    code = (
        "import sys, pathlib, userproxy.app, userproxy.kube.service_account as it\n"
        f"it.read_service_account(pathlib.Path({str(account)!r}), {IN_A_POD!r})\n"
        "print([name for name in ('kubernetes_asyncio', 'yaml') if name in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == "[]\n"
