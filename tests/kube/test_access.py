"""Server URLs and Authorization headers are checked; stamps tell a changed file."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from userproxy.errors import UsageError
from userproxy.kube.access import checked_authorization, checked_server, plain_access, stamps


@pytest.mark.parametrize(
    ("server", "expected"),
    [
        ("http://127.0.0.1:8001", "http://127.0.0.1:8001"),
        ("https://host/", "https://host"),
        ("https://rancher.example/k8s/clusters/c-1", "https://rancher.example/k8s/clusters/c-1"),
        ("https://[fd00::1]:6443", "https://[fd00::1]:6443"),
    ],
)
def test_server(server: str, expected: str) -> None:
    assert checked_server(server, "x") == expected


@pytest.mark.parametrize(
    "server", ["", "127.0.0.1:8001", "host", "ftp://host", "http://", "http://host:99999", "http://[::1"]
)
def test_what_is_no_server(server: str) -> None:
    with pytest.raises(UsageError, match=r"^--master: not the URL of a server; write http://HOST:PORT"):
        checked_server(server, "--master")


def test_password_in_the_url_is_refused_and_not_repeated() -> None:
    with pytest.raises(UsageError) as caught:
        plain_access("http://bob:secret@127.0.0.1:8001", {})
    assert "secret" not in str(caught.value)
    assert '--master "127.0.0.1:8001"' in str(caught.value)


def test_plain_access() -> None:
    access = plain_access("http://127.0.0.1:8001/", {"HTTP_PROXY": "http://proxy:1"})
    assert (access.server, access.authorization, access.tls, access.proxy) == (
        "http://127.0.0.1:8001",
        "",
        None,
        "",
    )
    assert plain_access("https://10.0.0.1:6443", {}).tls is not None


def test_authorization() -> None:
    assert checked_authorization("Bearer abc\n", "x") == "Bearer abc"
    for bad in ("Bearer a\nb", "Bearer a\rX: y", "Bearer \u00e4"):
        with pytest.raises(UsageError, match=r"^x: the token holds characters"):
            checked_authorization(bad, "x")


def test_stamps_tell_changes_also_behind_links(tmp_path: Path) -> None:
    (tmp_path / "v1").mkdir()
    (tmp_path / "v2").mkdir()
    (tmp_path / "v1" / "token").write_text("a")
    (tmp_path / "v2" / "token").write_text("b")
    (tmp_path / "data").symlink_to("v1")
    path = str(tmp_path / "data" / "token")
    before = stamps([path])
    assert stamps([path]) == before
    # As the kubelet swaps a mounted Secret: a new link, renamed over the old one.
    (tmp_path / "data.new").symlink_to("v2")
    os.replace(tmp_path / "data.new", tmp_path / "data")  # noqa: PTH105 - rename over a link
    after = stamps([path])
    assert after != before
    (tmp_path / "v2" / "token").unlink()
    assert stamps([path]) == ((path, 0, 0, 0),)
