"""PROXY protocol headers: the examples of the specification, and round trips through an independent reader."""

from __future__ import annotations

import ipaddress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.proxy_header import parse
from userproxy.core.proxy_protocol import LONGEST, SIGNATURE, header

ports = st.integers(0, 65535)
ipv4 = st.tuples(st.ip_addresses(v=4).map(str), ports)
ipv6 = st.tuples(st.ip_addresses(v=6).map(str), ports)
versions = st.sampled_from((1, 2))


def test_version_1_is_a_line_of_text() -> None:
    made = header(1, ("192.168.0.1", 56324), ("192.168.0.11", 443))
    assert made == b"PROXY TCP4 192.168.0.1 192.168.0.11 56324 443\r\n"
    made = header(1, ("2001:db8::1", 1), ("fd00::2", 65535))
    assert made == b"PROXY TCP6 2001:db8::1 fd00::2 1 65535\r\n"


def test_version_2_is_binary() -> None:
    made = header(2, ("1.2.3.4", 0x5678), ("10.96.0.1", 80))
    assert made == SIGNATURE + bytes.fromhex("21 11 000c 01020304 0a600001 5678 0050")
    made = header(2, ("2001:db8::1", 1), ("fd00::2", 2))
    assert made[12:16] == bytes.fromhex("21 21 0024")
    assert len(made) == 16 + 36


@given(version=versions, pair=st.tuples(ipv4, ipv4) | st.tuples(ipv6, ipv6), payload=st.binary(max_size=40))
def test_a_receiver_reads_what_was_meant(
    version: int, pair: tuple[tuple[str, int], tuple[str, int]], payload: bytes
) -> None:
    made = header(version, *pair)
    assert len(made) <= LONGEST
    read, client, destination, rest = parse(made + payload)
    assert (read, rest) == (version, payload)
    for got, meant in ((client, pair[0]), (destination, pair[1])):
        assert got is not None
        assert (ipaddress.ip_address(got[0]), got[1]) == (ipaddress.ip_address(meant[0]), meant[1])


@given(version=versions, mixed=st.tuples(ipv4, ipv6) | st.tuples(ipv6, ipv4))
def test_two_families_are_unknown_to_the_receiver(
    version: int, mixed: tuple[tuple[str, int], tuple[str, int]]
) -> None:
    assert parse(header(version, *mixed) + b"x") == (version, None, None, b"x")


@pytest.mark.parametrize("version", [1, 2])
def test_the_zone_of_a_link_local_address_stays_on_this_host(version: int) -> None:
    made = header(version, ("fe80::1%eth0", 1), ("fe80::2%eth0", 2))
    assert parse(made) == (version, ("fe80::1", 1), ("fe80::2", 2), b"")
