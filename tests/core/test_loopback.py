"""Stable loopback addresses and the ports an ordinary user may bind."""

from __future__ import annotations

import ipaddress

from tests.build import name
from userproxy.core.loopback import RANGE, loopback_address, loopback_port


def test_the_same_service_gets_the_same_address() -> None:
    first = loopback_address(name("web"), lambda _: False)
    assert first == loopback_address(name("web"), lambda _: False)
    assert ipaddress.ip_address(first) in RANGE
    assert first != loopback_address(name("db"), lambda _: False)


def test_a_taken_address_is_not_given_twice() -> None:
    taken: set[str] = set()
    for _ in range(5):
        address = loopback_address(name("web"), taken.__contains__)
        assert address not in taken
        taken.add(address)


def test_ports() -> None:
    assert loopback_port(80, {80}, 0) == 80
    assert loopback_port(8080, {8080}, 1024) == 8080
    assert loopback_port(80, {80}, 1024) == 8080
    assert loopback_port(80, {80, 8080}, 1024) == 18080
    assert loopback_port(80, {80, 8080, 18080, 28080, 38080}, 1024) == 80
