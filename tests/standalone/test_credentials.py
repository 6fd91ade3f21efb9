"""Token and kubeconfig as files: modes, places, what stays and what goes."""

from __future__ import annotations

import stat
from pathlib import Path

import pytest
import yaml

from userproxy.errors import StoreError
from userproxy.kube.kubeconfig import read_kubeconfig
from userproxy.standalone.credentials import CredentialFiles


def mode(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


def test_a_data_directory_keeps_its_token(tmp_path: Path) -> None:
    files = CredentialFiles(tmp_path)
    token = files.token()
    assert len(token) >= 32
    files.write_kubeconfig("http://127.0.0.1:1", token)
    files.close()
    assert CredentialFiles(tmp_path).token() == token
    assert (mode(tmp_path / "token"), mode(files.kubeconfig)) == (0o600, 0o600)
    assert {path.name for path in tmp_path.iterdir()} == {"token", "kubeconfig"}


def test_tokens_differ(tmp_path: Path) -> None:
    (tmp_path / "a").mkdir()
    (tmp_path / "b").mkdir()
    assert CredentialFiles(tmp_path / "a").token() != CredentialFiles(tmp_path / "b").token()


@pytest.mark.parametrize("content", [b"", b"short", b"\xff" * 40, b"a" * 40 + b"\nmore"])
def test_a_file_that_is_no_token_is_replaced(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "token").write_bytes(content)
    token = CredentialFiles(tmp_path).token()
    assert (tmp_path / "token").read_text() == f"{token}\n"
    assert len(token) >= 32


def test_without_a_data_directory_nothing_is_left(tmp_path: Path) -> None:
    files = CredentialFiles(None, {"XDG_RUNTIME_DIR": str(tmp_path)})
    files.write_kubeconfig("http://127.0.0.1:1", files.token())
    assert files.directory.parent == tmp_path
    assert (mode(files.directory), mode(files.kubeconfig)) == (0o700, 0o600)
    files.close()
    files.close()
    assert list(tmp_path.iterdir()) == []


def test_the_runtime_directory_of_another_user_is_passed_over(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    files = CredentialFiles(None, {"XDG_RUNTIME_DIR": "/nonexistent"})
    assert files.directory.parent == tmp_path
    files.close()
    monkeypatch.setattr("tempfile.tempdir", "/nonexistent")
    with pytest.raises(StoreError, match=r"no directory for the kubeconfig: No such file.*--data-dir"):
        CredentialFiles(None, {})


def test_a_place_that_cannot_be_written_is_told(tmp_path: Path) -> None:
    (tmp_path / "token").mkdir()
    with pytest.raises(StoreError, match=r"token .*cannot be read: Is a directory"):
        CredentialFiles(tmp_path).token()
    (tmp_path / "kubeconfig" / "full").mkdir(parents=True)
    with pytest.raises(StoreError, match="kubeconfig cannot be written"):
        CredentialFiles(tmp_path).write_kubeconfig("http://127.0.0.1:1", "x")
    assert {path.name for path in tmp_path.iterdir()} == {"token", "kubeconfig"}


async def test_our_own_client_reads_it(tmp_path: Path) -> None:
    files = CredentialFiles(tmp_path)
    files.write_kubeconfig("http://127.0.0.1:8001", files.token())
    access = await read_kubeconfig(str(files.kubeconfig), "", {})
    assert (access.server, access.authorization) == ("http://127.0.0.1:8001", f"Bearer {files.token()}")
    assert yaml.safe_load(files.kubeconfig.read_text())["kind"] == "Config"
