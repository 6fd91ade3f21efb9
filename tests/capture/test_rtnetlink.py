"""Addresses, local routes and lookups in a namespace, checked with the ip program."""

from __future__ import annotations

import sys
from collections.abc import Iterator

import pytest

from tests.netns import Namespace, namespace, needs_netns, node_with_pods
from userproxy.capture.rtnetlink import LOOPBACK, HostAddress, RtNetlink, covered
from userproxy.errors import CaptureError
from userproxy.model import Family

pytestmark = [pytest.mark.netns, needs_netns]

FOUR, SIX = "10.96.0.1", "fd00:96::1"


@pytest.fixture
def alone() -> Iterator[Namespace]:
    with namespace() as made, made.entered():
        yield made


@pytest.mark.parametrize("address", ["169.254.77.1", "fd77:7573:6572::1"])
def test_addresses_come_and_go_and_both_may_be_repeated(alone: Namespace, address: str) -> None:
    with RtNetlink() as kernel:
        for _ in range(2):
            kernel.add_address(address)
            assert HostAddress(address, LOOPBACK) in kernel.addresses()
            shown = alone.run("ip", "-o", "addr", "show", "dev", "lo", "to", address)
            assert ("deprecated" if ":" in address else "scope host") in shown
        for _ in range(2):
            kernel.delete_address(address)
            assert HostAddress(address, LOOPBACK) not in kernel.addresses()


def test_an_ipv6_address_is_in_force_when_add_returns(alone: Namespace) -> None:
    with RtNetlink() as kernel:
        for number in range(1, 30):
            kernel.add_address(f"fd77::{number:x}")
            assert f"local fd77::{number:x} " in alone.run("ip", "-6", "route", "show", "table", "local")


def test_an_address_that_does_not_become_local_is_an_error(
    alone: Namespace, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("userproxy.capture.rtnetlink._LOCAL_TRIES", 0)
    with RtNetlink() as kernel, pytest.raises(CaptureError, match="did not become local"):
        kernel.add_address("fd77::1")


def test_local_routes_carry_our_protocol(alone: Namespace) -> None:
    with RtNetlink() as kernel:
        assert kernel.add_local_routes([FOUR, SIX]) == set()
        assert kernel.local_routes() == {FOUR, SIX}
        shown = alone.run("ip", "route", "show", "table", "local", "proto", "77")
        assert shown.split("\n")[0].split() == f"local {FOUR} dev lo scope host".split()
        assert SIX in alone.run("ip", "-6", "route", "show", "table", "local", "proto", "77")
        assert kernel.add_local_routes([FOUR, SIX]) == {FOUR, SIX}
        for _ in range(2):
            kernel.delete_local_routes([FOUR, SIX])
            assert kernel.local_routes() == set()


def test_routes_of_others_are_neither_listed_nor_deleted(alone: Namespace) -> None:
    alone.run("ip", "route", "add", "local", FOUR, "dev", "lo")
    alone.run("ip", "-6", "route", "add", "local", SIX, "dev", "lo")
    alone.run("ip", "route", "add", "10.97.0.0/16", "dev", "lo", "proto", "77")
    before = alone.state()
    with RtNetlink() as kernel:
        assert kernel.local_routes() == set()
        assert FOUR in kernel.add_local_routes([FOUR])
        kernel.delete_local_routes([FOUR, SIX])
    assert alone.state() == before


def test_thousands_of_routes_at_once(alone: Namespace) -> None:
    addresses = {f"10.{100 + (n >> 16)}.{n >> 8 & 255}.{n & 255}" for n in range(5000)}
    with RtNetlink() as kernel:
        kernel.add_local_routes(addresses)
        assert kernel.local_routes() == addresses
        assert kernel.unreachable(addresses) == set()
        kernel.delete_local_routes(addresses)
        assert kernel.local_routes() == set()
        assert kernel.unreachable(addresses) == addresses


def test_what_connect_would_refuse_is_unreachable(alone: Namespace) -> None:
    alone.run("ip", "route", "add", "unreachable", "10.98.0.0/16")
    alone.run("ip", "route", "add", "10.97.0.0/16", "dev", "lo")
    with RtNetlink() as kernel:
        asked = {FOUR, SIX, "10.97.0.1", "10.98.0.1", "127.0.0.1", "::1"}
        assert kernel.unreachable(asked) == {FOUR, SIX, "10.98.0.1"}


def test_prefixes_of_table_main_cover_addresses() -> None:
    with node_with_pods(default_route=False) as net, net.node.entered(), RtNetlink() as kernel:
        net.node.run("ip", "route", "add", "10.96.0.0/12", "dev", "pod0")
        net.node.run("ip", "route", "add", "unreachable", "10.200.0.0/16")
        net.node.run("ip", "-6", "route", "add", "fd00:96::/112", "dev", "pod0")
        prefixes = kernel.main_prefixes()
        assert (Family.IPV4, 24, 0x0A4D00) in prefixes
        asked = {"10.95.255.255", "10.96.0.0", "10.111.255.255", "10.112.0.0", "10.200.0.1"}
        assert covered(asked, prefixes) == {"10.96.0.0", "10.111.255.255"}
        assert covered({"fd00:96::ffff", "fd00:96::1:0"}, prefixes) == {"fd00:96::ffff"}
        net.node.run("ip", "route", "add", "default", "dev", "pod0")
        assert covered(asked, kernel.main_prefixes()) == asked


def test_errors_name_object_and_reason(alone: Namespace) -> None:
    alone.run("ip", "link", "set", "lo", "down")
    with RtNetlink() as kernel, pytest.raises(CaptureError) as caught:
        kernel.add_local_routes([SIX, "fd00:96::2", FOUR])
    assert str(caught.value) == f"cannot add a local route for {SIX} and 1 more: Network is down"
    with RtNetlink() as kernel:
        assert kernel.local_routes() == {FOUR}, "one that is refused does not stop the others"


def test_without_the_right_errors_say_what_to_do(alone: Namespace) -> None:
    program = """
from userproxy.capture.rtnetlink import RtNetlink
from userproxy.errors import CaptureError
with RtNetlink() as kernel:
    for call in (kernel.require_permission, lambda: kernel.add_address("169.254.77.1"),
                 lambda: kernel.add_local_routes(["10.96.0.1"])):
        try:
            call()
        except CaptureError as error:
            print(error)
    print(sorted(known.address for known in kernel.addresses()), kernel.unreachable(["10.96.0.1"]))
"""
    shown = alone.run("setpriv", "--bounding-set=-net_admin", sys.executable, "-c", program)
    advice = "Operation not permitted: run as root or with CAP_NET_ADMIN"
    assert shown.splitlines() == [
        f"cannot change addresses and routes: {advice}",
        f"cannot add address 169.254.77.1 to lo: {advice}",
        f"cannot add a local route for 10.96.0.1: {advice}",
        "['127.0.0.1', '::1'] {'10.96.0.1'}",
    ]


def test_permission_is_there_for_root(alone: Namespace) -> None:
    before = alone.state()
    with RtNetlink() as kernel:
        kernel.require_permission()
    assert alone.state() == before
