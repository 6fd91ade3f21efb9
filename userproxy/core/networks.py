"""Sets of networks that a client's address is held against: in this process, and in the kernel as a socket filter.

Owns membership and the wording of the filter program (classic BPF, linux/filter.h). Attaching a program to a socket is
`dataplane.sockets`' work.
"""

from __future__ import annotations

import functools
import ipaddress
from collections.abc import Iterable, Iterator
from typing import TypeAlias

from userproxy.model import Family, family_of

Network: TypeAlias = ipaddress.IPv4Network | ipaddress.IPv6Network
Instruction: TypeAlias = tuple[int, int, int, int]
"""code, jump if true, jump if false, operand (struct sock_filter)"""

LOOPBACK = {Family.IPV4: "127.0.0.1", Family.IPV6: "::1"}

MAX_INSTRUCTIONS = 4096
"""BPF_MAXINSNS"""

_LOAD_WORD = 0x20
_AND = 0x54
_JUMP_EQUAL = 0x15
_JUMP = 0x05
_RETURN = 0x06
_NETWORK_HEADER = 0xFFF00000
"""SKF_NET_OFF: the IP header, wherever the data of the socket's packets begins"""
_SOURCE_OFFSET = {Family.IPV4: 12, Family.IPV6: 8}
_KEEP = 0xFFFFFFFF

DROP_ALL: tuple[Instruction, ...] = ((_RETURN, 0, 0, 0),)
"""The program that discards every packet."""


def canonical_network(text: str) -> str | None:
    """Return a network or address in canonical text (`10.0.0.0/8`, `10.1.2.3/32`), None when it is neither.

    Host bits may be set, as kube-proxy's parser allows; surrounding white space goes.
    """
    try:
        return str(ipaddress.ip_network(text.strip(), strict=False))
    except ValueError:
        return None


def network_of(address: str) -> str:
    """Return the network that holds just `address` (canonical text)."""
    return f"{address}/{128 if family_of(address) is Family.IPV6 else 32}"


def of_family(networks: Iterable[str], family: Family) -> tuple[str, ...]:
    """Return the networks of one family."""
    return tuple(network for network in networks if family_of(network) is family)


@functools.lru_cache(maxsize=4096)
def contains(networks: tuple[str, ...], address: str) -> bool:
    """Whether `address` is in one of `networks` (canonical texts; of either family)."""
    wanted = ipaddress.ip_address(address)
    return any(wanted in _network(network) for network in networks)


@functools.lru_cache(maxsize=4096)
def _network(text: str) -> Network:
    return ipaddress.ip_network(text)


def source_filter(allowed: Iterable[tuple[str, ...]], family: Family) -> tuple[Instruction, ...]:
    """Return the program that keeps packets whose source is in a network of each tuple, and discards all others.

    Raises ValueError when the networks are too many for the kernel (about 1,000 for IPv4, 400 for IPv6).
    """
    program: list[Instruction] = []
    for networks in allowed:
        tests = [list(_test(network, family)) for network in _merged(of_family(networks, family))]
        left = sum(len(test) + 1 for test in tests)
        for test in tests:
            left -= len(test) + 1
            # Conditional jumps reach 255 instructions only, so a match goes on by a long one: over what is left and the
            # `return 0` behind it.
            program += [*test, (_JUMP, 0, 0, left + 1)]
        program.append((_RETURN, 0, 0, 0))
    program.append((_RETURN, 0, 0, _KEEP))
    if len(program) > MAX_INSTRUCTIONS:
        raise ValueError(f"{len(program)} filter instructions, the kernel takes {MAX_INSTRUCTIONS}")
    return tuple(program)


def _merged(networks: Iterable[str]) -> list[Network]:
    return list(ipaddress.collapse_addresses(_network(text) for text in networks))  # type: ignore[type-var]


def _test(network: Network, family: Family) -> Iterator[Instruction]:
    """Yield the test of one network: falls through on a match, jumps behind the instruction that follows otherwise."""
    words = list(_words(network))
    sizes = [2 if mask == _KEEP else 3 for _, mask in words]
    for index, (value, mask) in enumerate(words):
        yield (_LOAD_WORD, 0, 0, _NETWORK_HEADER + _SOURCE_OFFSET[family] + 4 * index)
        if mask != _KEEP:
            yield (_AND, 0, 0, mask)
        yield (_JUMP_EQUAL, 0, sum(sizes[index + 1 :]) + 1, value)


def _words(network: Network) -> Iterator[tuple[int, int]]:
    """Yield value and mask of each 32-bit word that has fixed bits."""
    address, mask = network.network_address.packed, network.netmask.packed
    for start in range(0, len(address), 4):
        bits = int.from_bytes(mask[start : start + 4])
        if bits:
            yield int.from_bytes(address[start : start + 4]), bits
