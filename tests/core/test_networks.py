"""Membership of addresses in networks, and the same question as a classic BPF program."""

from __future__ import annotations

import ipaddress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from userproxy.core.networks import (
    DROP_ALL,
    Instruction,
    canonical_network,
    contains,
    of_family,
    source_filter,
)
from userproxy.model import Family, family_of

NETWORK_HEADER = 0xFFF00000


def keeps(program: tuple[Instruction, ...], source: str) -> bool:
    """Run a filter as the kernel would (net/core/filter.c) on a packet from `source`; only what such filters use."""
    address = ipaddress.ip_address(source)
    start = 12 if address.version == 4 else 8
    header = bytes(start) + address.packed
    counter, accumulator = 0, 0
    while True:
        code, if_true, if_false, operand = program[counter]
        counter += 1
        if code == 0x20:
            offset = operand - NETWORK_HEADER
            accumulator = int.from_bytes(header[offset : offset + 4])
        elif code == 0x54:
            accumulator &= operand
        elif code == 0x15:
            counter += if_true if accumulator == operand else if_false
        elif code == 0x05:
            counter += operand
        else:
            assert code == 0x06
            return operand != 0


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("10.0.0.0/8", "10.0.0.0/8"),
        (" 10.1.2.3/8\n", "10.0.0.0/8"),
        ("10.1.2.3", "10.1.2.3/32"),
        ("FD00::/8", "fd00::/8"),
        ("10.0.0.0/33", None),
        ("", None),
    ],
)
def test_canonical_network(text: str, expected: str | None) -> None:
    assert canonical_network(text) == expected


def test_families_are_told_apart() -> None:
    assert of_family(("10.0.0.0/8", "fd00::/8"), Family.IPV6) == ("fd00::/8",)
    assert contains(("10.0.0.0/8", "fd00::/8"), "fd00::1")
    assert not contains(("10.0.0.0/8",), "fd00::1")


def test_the_drop_program_keeps_nothing() -> None:
    assert not keeps(DROP_ALL, "10.0.0.1")


def test_an_empty_list_lets_nobody_in_and_no_list_everybody() -> None:
    assert not keeps(source_filter([()], Family.IPV4), "10.0.0.1")
    assert keeps(source_filter([], Family.IPV4), "10.0.0.1")


def test_a_list_longer_than_a_conditional_jump_reaches() -> None:
    networks = tuple(f"10.{n}.0.1/32" for n in range(200))
    program = source_filter([networks, ("10.0.0.0/9",)], Family.IPV4)
    assert keeps(program, "10.0.0.1")
    assert keeps(program, "10.127.0.1")
    assert not keeps(program, "10.128.0.1")
    assert not keeps(program, "10.1.0.2")


def test_more_networks_than_the_kernel_takes_are_refused() -> None:
    with pytest.raises(ValueError, match="filter instructions"):
        source_filter([tuple(f"10.{a}.{b}.1/32" for a in range(8) for b in range(250))], Family.IPV4)


V4 = st.builds(
    lambda address, bits: str(ipaddress.ip_network((address, bits), strict=False)),
    st.integers(0x0A000000, 0x0A0000FF),
    st.integers(20, 32),
)
V6 = st.builds(
    lambda low, bits: str(ipaddress.ip_network(((0xFD << 120) + low, bits), strict=False)),
    st.integers(0, 2**40).map(lambda n: n << 60),
    st.integers(0, 128),
)


@given(
    lists=st.lists(st.lists(st.one_of(V4, V6), max_size=5).map(tuple), max_size=3),
    low=st.integers(0x0A000000, 0x0A0000FF),
    six=st.booleans(),
)
def test_the_program_decides_as_the_membership_does(
    lists: list[tuple[str, ...]], low: int, six: bool
) -> None:
    source = str(ipaddress.IPv6Address((0xFD << 120) + (low << 60)) if six else ipaddress.IPv4Address(low))
    expected = all(contains(networks, source) for networks in lists)
    assert keeps(source_filter(lists, family_of(source)), source) == expected
