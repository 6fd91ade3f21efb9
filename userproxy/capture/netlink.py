"""Netlink sockets: framing, acknowledgements and dumps, checked strictly.

Owns the protocol of linux/netlink.h and knows no message of any subsystem (`rtnetlink` and `nft_generation` do). Calls
block, but never for long: the kernel has answered by the time send() returns. A socket belongs to the network namespace
that it was opened in, so it is opened for each task and not kept.
"""

from __future__ import annotations

import errno
import os
import socket
import struct
from collections.abc import Iterator, Sequence
from types import TracebackType
from typing import NamedTuple

from userproxy.capture.commands import NOT_PERMITTED
from userproxy.errors import CaptureError

NETLINK_ROUTE = 0
NETLINK_NETFILTER = 12

NLM_F_REQUEST = 0x1
NLM_F_ACK = 0x4
NLM_F_DUMP_INTR = 0x10
NLM_F_DUMP = 0x300
NLM_F_EXCL = 0x200
NLM_F_CREATE = 0x400

_NLMSG_ERROR = 2
_NLMSG_DONE = 3
_NLMSG_OVERRUN = 4
_SOL_NETLINK = 270
_NETLINK_CAP_ACK = 10
_NETLINK_GET_STRICT_CHK = 12

_HEADER = struct.Struct("=IHHII")
_ATTRIBUTE = struct.Struct("=HH")
_ERRNO = struct.Struct("=i")

_BATCH = 32
"""Requests in one send(). All answers fit the default receive buffer of 208 KiB, where one may count 4 KiB."""
_READ = 1 << 17
_TIMEOUT = 2.0
"""Seconds; reached only when the kernel does not answer at all."""
_DUMP_TRIES = 5


class Message(NamedTuple):
    """A request (flags without those of framing), or an answer; `payload` is all behind the netlink header."""

    type: int
    flags: int
    payload: bytes


class Netlink:
    """A netlink socket. A context manager; every method raises CaptureError when the kernel does not keep to the protocol."""

    def __init__(self, protocol: int) -> None:
        try:
            self._socket = socket.socket(socket.AF_NETLINK, socket.SOCK_RAW | socket.SOCK_CLOEXEC, protocol)
        except OSError as error:
            raise CaptureError(f"cannot open a netlink socket: {error.strerror}") from error
        self._sequence = 0
        try:
            self._socket.bind((0, 0))
            self._socket.settimeout(_TIMEOUT)
        except OSError as error:
            self._socket.close()
            raise CaptureError(f"cannot bind a netlink socket: {error.strerror}") from error
        for option in (_NETLINK_CAP_ACK, _NETLINK_GET_STRICT_CHK):
            try:
                self._socket.setsockopt(_SOL_NETLINK, option, 1)
            except (
                OSError
            ):  # before Linux 4.3 and 4.20: answers are longer, dumps are not filtered by the kernel
                pass

    def __enter__(self) -> Netlink:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._socket.close()

    def execute(self, requests: Sequence[Message]) -> dict[int, int]:
        """Carry out requests in order and return the errno of each that was refused, by its index.

        One refused request does not stop those behind it.
        """
        refused: dict[int, int] = {}
        for start in range(0, len(requests), _BATCH):
            chunk = requests[start : start + _BATCH]
            # Only the last one asks for an answer: the others are answered when they fail, and in order.
            last = chunk[-1]._replace(flags=chunk[-1].flags | NLM_F_ACK)
            first = self._send([*chunk[:-1], last])
            waiting = True
            while waiting:
                for index, message in self._receive(first, len(chunk)):
                    number = _error_of(message)
                    if number:
                        refused[start + index] = number
                    waiting = waiting and index != len(chunk) - 1
        return refused

    def query(self, requests: Sequence[Message]) -> list[Message | int]:
        """Send requests of which each has exactly one answer; return the answers in order, an errno where it was refused."""
        answers: list[Message | int] = []
        for start in range(0, len(requests), _BATCH):
            chunk = requests[start : start + _BATCH]
            first = self._send(chunk)
            received: dict[int, Message | int] = {}
            while len(received) < len(chunk):
                for index, message in self._receive(first, len(chunk)):
                    received[index] = _error_of(message) if message.type == _NLMSG_ERROR else message
            answers += [received[index] for index in range(len(chunk))]
        return answers

    def dump(self, request: Message) -> list[Message]:
        """Return all objects that `request` asks for; begins again when they changed while being read."""
        for _ in range(_DUMP_TRIES):
            first = self._send([request._replace(flags=request.flags | NLM_F_DUMP)])
            found, whole = self._read_dump(first)
            if whole:
                return found
        raise CaptureError(
            f"a netlink dump changed while being read, {_DUMP_TRIES} times; it is tried again later"
        )

    def _read_dump(self, first: int) -> tuple[list[Message], bool]:
        found: list[Message] = []
        whole = True
        while True:
            for _, message in self._receive(first, 1):
                whole = whole and not message.flags & NLM_F_DUMP_INTR
                if message.type in (_NLMSG_DONE, _NLMSG_ERROR):
                    number = _error_of(message)
                    if number:
                        raise CaptureError(f"a netlink dump failed: {meaning(number)}")
                    return found, whole
                found.append(message)

    def _send(self, requests: Sequence[Message]) -> int:
        first = self._sequence + 1
        parts: list[bytes] = []
        for number, request in enumerate(requests, first):
            length = _HEADER.size + len(request.payload)
            parts.append(_HEADER.pack(length, request.type, request.flags | NLM_F_REQUEST, number, 0))
            parts.append(request.payload)
            parts.append(bytes(-length % 4))
        self._sequence = first + len(requests) - 1
        try:
            self._socket.send(b"".join(parts))
        except OSError as error:
            raise CaptureError(f"cannot send to the kernel by netlink: {error.strerror}") from error
        return first

    def _receive(self, first: int, count: int) -> Iterator[tuple[int, Message]]:
        """Yield the messages of one datagram with the index of the request that each answers."""
        try:
            data, _, flags, sender = self._socket.recvmsg(_READ)
        except TimeoutError as error:
            raise CaptureError(f"the kernel did not answer by netlink within {_TIMEOUT:.0f} s") from error
        except OSError as error:
            raise CaptureError(f"cannot read the kernel's answer by netlink: {error.strerror}") from error
        if flags & socket.MSG_TRUNC:
            raise CaptureError(f"a netlink answer is larger than {_READ} bytes")
        if sender[0] != 0:  # any local process may send here; only the kernel has port 0
            return
        for sequence, message in _messages(data):
            if not first <= sequence < first + count or message.type == _NLMSG_OVERRUN:
                raise CaptureError("a netlink answer is out of order")
            yield sequence - first, message


def attribute(kind: int, value: bytes) -> bytes:
    """Return one netlink attribute, padded."""
    length = _ATTRIBUTE.size + len(value)
    return _ATTRIBUTE.pack(length, kind) + value + bytes(-length % 4)


def attributes(payload: bytes, offset: int) -> dict[int, bytes]:
    """Return the attributes of a message behind its fixed part of `offset` bytes. Raises CaptureError when malformed."""
    found: dict[int, bytes] = {}
    while offset + _ATTRIBUTE.size <= len(payload):
        length, kind = _ATTRIBUTE.unpack_from(payload, offset)
        if length < _ATTRIBUTE.size or offset + length > len(payload):
            raise CaptureError("a netlink answer has a malformed attribute")
        found[kind & 0x3FFF] = payload[
            offset + _ATTRIBUTE.size : offset + length
        ]  # without NLA_F_NESTED, _NET_BYTEORDER
        offset += (length + 3) & ~3
    return found


def meaning(number: int) -> str:
    """Return the meaning of an errno for a person, with what to do when rights are missing."""
    text = os.strerror(number)
    return f"{text}: {NOT_PERMITTED}" if number == errno.EPERM else text


def _messages(data: bytes) -> Iterator[tuple[int, Message]]:
    offset = 0
    while offset < len(data):
        if offset + _HEADER.size > len(data):
            raise CaptureError("a netlink answer is cut short")
        length, kind, flags, sequence, _ = _HEADER.unpack_from(data, offset)
        if length < _HEADER.size or offset + length > len(data):
            raise CaptureError("a netlink answer has a malformed length")
        yield sequence, Message(kind, flags, data[offset + _HEADER.size : offset + length])
        offset += (length + 3) & ~3


def _error_of(message: Message) -> int:
    """Return the errno that an NLMSG_ERROR or NLMSG_DONE carries, 0 for success."""
    if message.type not in (_NLMSG_ERROR, _NLMSG_DONE) or len(message.payload) < _ERRNO.size:
        raise CaptureError(f"a netlink answer is of an unexpected type ({message.type})")
    number: int = _ERRNO.unpack_from(message.payload)[0]
    return -number
