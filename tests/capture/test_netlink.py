"""Framing, batches and errors, against the kernel of a namespace."""

from __future__ import annotations

import errno
import struct

import pytest

from tests.netns import namespace, needs_netns
from userproxy.capture.netlink import NETLINK_ROUTE, Message, Netlink, attribute, attributes, meaning
from userproxy.errors import CaptureError

GET_LINK, NEW_LINK, DELETE_ROUTE, GET_ADDRESS = 18, 16, 25, 22
NO_LINK = 9999


def link(index: int) -> Message:
    return Message(GET_LINK, 0, struct.pack("=BxHiII", 0, 0, index, 0, 0))


@pytest.mark.netns
@needs_netns
def test_queries_are_answered_in_order_beyond_one_batch() -> None:
    with namespace() as alone, alone.entered(), Netlink(NETLINK_ROUTE) as netlink:
        indexes = [1 if number % 3 else NO_LINK for number in range(400)]
        answers = netlink.query([link(index) for index in indexes])
    for index, answer in zip(indexes, answers, strict=True):
        if index == 1:
            assert isinstance(answer, Message)
            assert answer.type == NEW_LINK
            assert attributes(answer.payload, 16)[3] == b"lo\0"
        else:
            assert answer == errno.ENODEV


@pytest.mark.netns
@needs_netns
def test_refused_requests_are_told_by_index_and_do_not_stop_others() -> None:
    add_all = [Message(24, 0x600, route(number)) for number in range(300)]
    with namespace() as alone, alone.entered(), Netlink(NETLINK_ROUTE) as netlink:
        assert netlink.execute(add_all[::2]) == {}
        refused = netlink.execute(add_all)
        assert refused == dict.fromkeys(range(0, 300, 2), errno.EEXIST)
        assert netlink.execute([Message(DELETE_ROUTE, 0, route(number)) for number in range(300)]) == {}


@pytest.mark.netns
@needs_netns
def test_a_dump_that_the_kernel_refuses() -> None:
    with (
        namespace() as alone,
        alone.entered(),
        Netlink(NETLINK_ROUTE) as netlink,
        pytest.raises(CaptureError, match="a netlink dump failed: No such device"),
    ):
        netlink.dump(Message(GET_ADDRESS, 0, struct.pack("=BBBBI", 0, 0, 0, 0, NO_LINK)))


def test_a_protocol_that_does_not_exist() -> None:
    with pytest.raises(CaptureError, match="cannot open a netlink socket"):
        Netlink(31)


def test_attributes_round_trip() -> None:
    packed = b"head" + attribute(1, b"abc") + attribute(7, b"") + attribute(3 | 0x8000, b"12345678")
    assert attributes(packed, 4) == {1: b"abc", 7: b"", 3: b"12345678"}


@pytest.mark.parametrize("raw", [b"\x03\x00\x01\x00", b"\x09\x00\x01\x00abcd", b"\x00\x00\x00\x00"])
def test_malformed_attributes(raw: bytes) -> None:
    with pytest.raises(CaptureError, match="malformed"):
        attributes(raw, 0)


def test_meaning_says_what_to_do_without_rights() -> None:
    assert meaning(errno.EPERM) == "Operation not permitted: run as root or with CAP_NET_ADMIN"
    assert meaning(errno.EEXIST) == "File exists"


def route(number: int) -> bytes:
    header = struct.pack("=BBBBBBBBI", 2, 32, 0, 0, 255, 77, 254, 2, 0)
    return (
        header + attribute(1, bytes([10, 9, number >> 8, number & 255])) + attribute(4, struct.pack("=I", 1))
    )
