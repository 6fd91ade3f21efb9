"""The few DNS messages that tests need (RFC 1035, 4.1): a question for the A record of a name, and its answer."""

from __future__ import annotations

import socket

_QUESTION = bytes.fromhex("0100 0001 0000 0000 0000")
"""Recursion desired, one question."""
_ANSWER = bytes.fromhex("8580 0001 0001 0000 0000")
"""An authoritative answer, one question and one record."""
_RECORD = bytes.fromhex("c00c 0001 0001 00000005 0004")
"""The name of the question, type A, class IN, five seconds to live, four bytes of address."""
_END = bytes.fromhex("00 0001 0001")


def question(number: int, name: str = "my-service.default.svc.cluster.local") -> bytes:
    """Return a question with this identification (16 bits)."""
    labels = b"".join(bytes([len(label)]) + label.encode() for label in name.split("."))
    return number.to_bytes(2, "big") + _QUESTION + labels + _END


def answer(asked: bytes, address: str) -> bytes:
    """Return the answer to a question: `address`."""
    end = asked.index(0, 12) + 5
    return asked[:2] + _ANSWER + asked[12:end] + _RECORD + socket.inet_aton(address)


def address_in(answered: bytes, number: int) -> str:
    """Return the address in the answer to question `number`; empty when it answers another one."""
    return socket.inet_ntoa(answered[-4:]) if int.from_bytes(answered[:2], "big") == number else ""
