"""Which connections are dialled from the client's address, and which never are."""

from __future__ import annotations

import socket
from types import SimpleNamespace
from typing import Any

import pytest

from userproxy.dataplane.transparent import bind_source, client_source, is_own
from userproxy.model import Scope


@pytest.mark.parametrize(
    ("peer", "scope", "local_endpoints", "source"),
    [
        ("10.0.0.1", Scope.INTERNAL, False, "10.0.0.1"),
        ("fd00::1", Scope.INTERNAL, False, "fd00::1"),
        ("10.0.0.1", Scope.EXTERNAL, True, "10.0.0.1"),
        ("10.0.0.1", Scope.EXTERNAL, False, ""),
        ("10.0.0.1", Scope.LOAD_BALANCER, False, ""),
        ("127.0.0.5", Scope.INTERNAL, False, ""),
        ("::1", Scope.INTERNAL, False, ""),
        ("fe80::1%eth0", Scope.INTERNAL, False, ""),
    ],
)
def test_whose_address_is_kept(peer: str, scope: Scope, *, local_endpoints: bool, source: str) -> None:
    listener: Any = SimpleNamespace(spec=SimpleNamespace(scope=scope))
    assert client_source(listener, (peer, 1), local_endpoints=local_endpoints) == source


@pytest.mark.parametrize(
    ("source", "endpoint"), [("10.1.1.1", "10.1.1.1"), ("10.1.1.1", "127.0.0.1"), ("127.0.0.1", "10.1.1.1")]
)
def test_neither_to_the_client_itself_nor_to_this_host_nor_for_it(source: str, endpoint: str) -> None:
    with socket.socket() as sock:
        bind_source(sock, source, endpoint)
        assert sock.getsockname() == ("0.0.0.0", 0)


def test_addresses_of_this_host() -> None:
    is_own.cache_clear()
    assert is_own("127.0.0.1")
    assert is_own("::1")
    assert not is_own("203.0.113.9")
    is_own.cache_clear()
