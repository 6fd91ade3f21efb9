"""The generated certificate: what it is good for, when it is kept, and when a new one is made."""

from __future__ import annotations

import asyncio
import builtins
import ssl
import stat
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import pytest

from userproxy.errors import StoreError, UsageError
from userproxy.standalone.certificates import FILE, server_certificate

NAMES = ["localhost", "127.0.0.1", "::1", "node.example"]


async def greet(server: ssl.SSLContext, authority: bytes, name: str) -> str:
    """Return what a client that trusts the authority gets when it expects the server to be `name`."""

    async def answer(_reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(b"hello")
        writer.close()

    async with await asyncio.start_server(answer, "127.0.0.1", 0, ssl=server) as listener:
        port = listener.sockets[0].getsockname()[1]
        client = ssl.create_default_context(cadata=authority.decode())
        client.verify_flags |= ssl.VERIFY_X509_STRICT
        reader, writer = await asyncio.open_connection("127.0.0.1", port, ssl=client, server_hostname=name)
        try:
            return (await reader.read()).decode()
        finally:
            writer.close()
            await writer.wait_closed()


async def test_clients_that_know_it_trust_it_for_its_names(tmp_path: Path) -> None:
    context, authority = server_certificate(tmp_path, NAMES)
    for name in NAMES:
        assert await greet(context, authority, name) == "hello"
    with pytest.raises(ssl.SSLCertVerificationError):
        await greet(context, authority, "other.example")
    assert stat.S_IMODE((tmp_path / FILE).stat().st_mode) == 0o600
    assert b"PRIVATE" not in authority


def test_it_is_kept_while_it_is_good(tmp_path: Path) -> None:
    first = server_certificate(tmp_path, NAMES)[1]
    assert server_certificate(tmp_path, NAMES[:2])[1] == first
    assert server_certificate(tmp_path, [*NAMES, "10.1.2.3"])[1] != first


@pytest.mark.parametrize(
    "content", [b"", b"nonsense", b"-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n"]
)
def test_a_damaged_one_is_replaced(tmp_path: Path, content: bytes) -> None:
    (tmp_path / FILE).write_bytes(content)
    assert server_certificate(tmp_path, NAMES)[1].startswith(b"-----BEGIN CERTIFICATE")


def test_one_that_ends_soon_is_replaced(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    import datetime

    from userproxy.standalone import certificates

    with monkeypatch.context() as patched:
        patched.setattr(certificates, "_LIFE", datetime.timedelta(days=29))
        first = server_certificate(tmp_path, NAMES)[1]
    assert server_certificate(tmp_path, NAMES)[1] != first


def test_a_place_that_cannot_be_read_is_told(tmp_path: Path) -> None:
    (tmp_path / FILE).mkdir()
    with pytest.raises(StoreError, match="cannot be read: Is a directory"):
        server_certificate(tmp_path, NAMES)


def test_without_the_package_it_is_said_what_to_install(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    real = builtins.__import__

    def without(
        name: str,
        names: Mapping[str, Any] | None = None,
        local: Mapping[str, Any] | None = None,
        fromlist: Sequence[str] = (),
        level: int = 0,
    ) -> Any:
        if name.partition(".")[0] == "cryptography":
            raise ImportError(name)
        return real(name, names, local, fromlist, level)

    monkeypatch.setattr(builtins, "__import__", without)
    with pytest.raises(UsageError, match="pip install cryptography"):
        server_certificate(tmp_path, NAMES)
