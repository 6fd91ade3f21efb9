"""Which addresses answer node ports (reference rows 1.8.1 to 1.8.5)."""

from __future__ import annotations

import pytest

from userproxy.core.node_ports import (
    check_node_port_addresses,
    matches_all,
    node_port_addresses,
    port_range_warning,
)
from userproxy.errors import UsageError
from userproxy.model import Family, Host

ADDRESSES = ("127.0.0.1", "::1", "10.0.0.5", "192.168.1.5", "fd00::5")
HOST = Host("n1", node_addresses=("10.0.0.5", "fd00::5", "203.0.113.1"), addresses=ADDRESSES)


@pytest.mark.parametrize(
    ("wanted", "localhost", "v4", "v6"),
    [
        (("primary",), False, ["10.0.0.5"], ["fd00::5"]),
        (("primary",), True, ["10.0.0.5", "127.0.0.1"], ["::1", "fd00::5"]),
        ((), False, ["10.0.0.5", "192.168.1.5"], ["fd00::5"]),
        (("192.168.0.0/16",), True, ["127.0.0.1", "192.168.1.5"], ["::1", "fd00::5"]),
        (("192.168.0.0/16", "fd77::/16"), False, ["192.168.1.5"], []),
        (("192.168.0.0/16", "0.0.0.0/0"), False, ["10.0.0.5", "192.168.1.5"], ["fd00::5"]),
        (("127.0.0.0/8",), False, [], ["fd00::5"]),
    ],
)
def test_rows_1_8_1_and_1_8_3_and_1_8_4_addresses(
    wanted: tuple[str, ...], localhost: bool, v4: list[str], v6: list[str]
) -> None:
    assert list(node_port_addresses(wanted, HOST, Family.IPV4, localhost=localhost)) == v4
    assert list(node_port_addresses(wanted, HOST, Family.IPV6, localhost=localhost)) == v6


def test_primary_without_an_address_of_the_family_matches_all() -> None:
    host = Host("n1", node_addresses=("127.0.0.1",), addresses=ADDRESSES)
    assert node_port_addresses(("primary",), host, Family.IPV4, localhost=False) == (
        "10.0.0.5",
        "192.168.1.5",
    )
    assert matches_all(("primary",), host, Family.IPV6)
    assert not matches_all(("primary",), HOST, Family.IPV6)


def test_a_host_without_ipv6_has_no_ipv6_node_port() -> None:
    assert node_port_addresses((), Host(addresses=("127.0.0.1",)), Family.IPV6, localhost=True) == ()


@pytest.mark.parametrize("wanted", [(), ("primary",), ("10.0.0.0/8", "fd00::/8")])
def test_good_settings(wanted: tuple[str, ...]) -> None:
    check_node_port_addresses(wanted)


@pytest.mark.parametrize("wanted", [("primary", "10.0.0.0/8"), ("10.0.0.1/8",), ("eth0",)])
def test_bad_settings_are_named(wanted: tuple[str, ...]) -> None:
    with pytest.raises(UsageError, match="--nodeport-addresses"):
        check_node_port_addresses(wanted)


@pytest.mark.parametrize(("number", "inside"), [(32767, False), (32768, True), (60999, True), (61000, False)])
def test_a_node_port_that_outgoing_connections_may_take_is_named(number: int, inside: bool) -> None:
    line = port_range_warning("Service default/web", number, (32768, 60999))
    assert (line is not None) == inside
    if line:
        assert f"net.ipv4.ip_local_reserved_ports={number}" in line
