"""Bind addresses and Host headers as text.

Tables of what is accepted and what is refused, with the words of the refusal.
"""

from __future__ import annotations

import pytest

from userproxy.core.addresses import (
    AdminAddress,
    BindAddress,
    address_text,
    is_local_host_header,
    parse_bind_address,
)
from userproxy.errors import UsageError
from userproxy.model import Family


@pytest.mark.parametrize(
    ("text", "host", "port"),
    [
        ("0.0.0.0:10256", "0.0.0.0", 10256),
        ("127.0.0.1:0", "127.0.0.1", 0),
        ("127.0.0.1", "127.0.0.1", 10249),
        ("localhost", "127.0.0.1", 10249),
        ("localhost:65535", "127.0.0.1", 65535),
        (":8080", "0.0.0.0", 8080),
        ("::", "::", 10249),
        ("[::]", "::", 10249),
        ("[::1]:80", "::1", 80),
        ("2001:DB8::0:1", "2001:db8::1", 10249),
        ("[2001:DB8::0:1]:443", "2001:db8::1", 443),
    ],
)
def test_accepted(text: str, host: str, port: int) -> None:
    assert parse_bind_address(text, 10249, "--x") == BindAddress(host, port)


def test_empty_disables() -> None:
    assert parse_bind_address("", 10249, "--x") is None


@pytest.mark.parametrize(
    "text",
    [
        "nonsense",
        "example.org:80",
        "127.0.0.1:",
        "127.0.0.1:65536",
        "127.0.0.1:-1",
        "127.0.0.1:+1",
        "127.0.0.1: 1",
        "127.0.0.1:1_0",
        "127.0.0.1:٣",
        "127.0.0.1:000000080",
        "127.0.0.01:80",
        "256.0.0.1",
        "[::1",
        "[::1]80",
        "[127.0.0.1]:80",
        "[]:80",
        "fe80::1%eth0",
        "::1:10249:99999",
        " ",
    ],
)
def test_refused(text: str) -> None:
    with pytest.raises(UsageError) as caught:
        parse_bind_address(text, 10249, "--metrics-bind-address")
    message = str(caught.value)
    assert message.startswith(f"--metrics-bind-address: {text!r} is not an address")
    assert "an IP alone (port 10249)" in message
    assert "\n" not in message
    assert caught.value.exit_code == 2


@pytest.mark.parametrize(
    ("address", "family", "loopback", "text"),
    [
        (BindAddress("127.3.2.1", 80), Family.IPV4, True, "127.3.2.1:80"),
        (BindAddress("::1", 80), Family.IPV6, True, "[::1]:80"),
        (BindAddress("0.0.0.0", 1), Family.IPV4, False, "0.0.0.0:1"),
        (BindAddress("::", 1), Family.IPV6, False, "[::]:1"),
        (BindAddress("192.0.2.1", 1), Family.IPV4, False, "192.0.2.1:1"),
    ],
)
def test_properties(address: BindAddress, family: Family, loopback: bool, text: str) -> None:
    assert (address.family, address.loopback, str(address)) == (family, loopback, text)
    assert address_text((address.host, address.port)) == text


@pytest.mark.parametrize("text", ["0.0.0.0:10256", "[2001:db8::1]:443"])
def test_text_parses_back(text: str) -> None:
    assert str(parse_bind_address(text, 1, "--x")) == text


@pytest.mark.parametrize(
    "value",
    [
        "localhost",
        "LOCALHOST:10249",
        "localhost.",
        "a.localhost:80",
        "127.0.0.1",
        "10.1.2.3:1",
        "[::1]",
        "[::1]:10249",
    ],
)
def test_local_host_headers(value: str) -> None:
    assert is_local_host_header(value)


@pytest.mark.parametrize(
    "value",
    [
        "",
        "evil.example",
        "localhost.evil.example:10249",
        "127.0.0.1.evil.example",
        "notlocalhost",
        "[evil]:1",
        ":80x:1",
    ],
)
def test_foreign_host_headers(value: str) -> None:
    assert not is_local_host_header(value)


@pytest.mark.parametrize(("text", "default"), [("127.0.0.1:10249", True), ("127.0.0.1:1", False)])
def test_where_commands_ask_by_default(text: str, default: bool) -> None:
    assert AdminAddress(text, page=True).is_default is default
