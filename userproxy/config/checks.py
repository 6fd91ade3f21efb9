"""What values a setting may have: each check takes the value and the flag, and says in one line what is wrong.

Owns the wording. Raises UsageError and knows no setting; fields name their check. Checks of several settings together are
in `config`.
"""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Callable
from typing import TypeAlias
from urllib.parse import urlsplit

from userproxy.core.node_ports import check_node_port_addresses
from userproxy.errors import UsageError

NumberCheck: TypeAlias = Callable[[int, str], None]
TextCheck: TypeAlias = Callable[[str, str], None]


def parts(text: str) -> tuple[str, ...]:
    """Return what commas separate."""
    return tuple(part.strip() for part in text.split(",") if part.strip())


def address(version: int) -> TextCheck:
    """An IP address of one version."""

    def check(text: str, flag: str) -> None:
        try:
            valid = ipaddress.ip_address(text).version == version
        except ValueError:
            valid = False
        if not valid:
            raise UsageError(f"{flag}: {text!r} is not an IPv{version} address")

    return check


def network(text: str, flag: str) -> None:
    """A network of IP addresses."""
    try:
        ipaddress.ip_network(text)
    except ValueError as error:
        raise UsageError(f"{flag}: {error}; write a network such as 10.96.0.0/16") from None


def networks(text: str, flag: str) -> None:
    """Networks separated by commas, or nothing."""
    for part in parts(text):
        network(part, flag)


def node_port_addresses(text: str, flag: str) -> None:
    """Networks or `primary`."""
    check_node_port_addresses(parts(text))


def server_url(text: str, flag: str) -> None:
    """The URL of an API server, or nothing."""
    if text and urlsplit(text).scheme not in ("http", "https"):
        raise UsageError(
            f"{flag}: {text!r} is not a URL of an API server; write http://HOST:PORT or https://HOST:PORT"
        )


def workers(text: str, flag: str) -> None:
    """A number of processes, or auto."""
    if text != "auto" and not re.fullmatch(r"[0-9]{1,3}", text):
        raise UsageError(f"{flag}: {text!r} is neither a number nor auto")


def data_directory(text: str, flag: str) -> None:
    """A directory, or :memory:."""
    if not text:
        raise UsageError(f"{flag}: give a directory, or :memory: to keep nothing")


def within(low: int, high: int | None = None, *, says: str = "") -> NumberCheck:
    """A number between `low` and `high`, both included; `says` is what to do about another one."""
    advice = f"; {says}" if says else ""

    def check(number: int, flag: str) -> None:
        if high is not None and not low <= number <= high:
            raise UsageError(f"{flag}: {number} is not between {low} and {high}{advice}")
        if number < low:
            raise UsageError(f"{flag}: {number} is less than {low}{advice}")

    return check


def above_zero(seconds: float, flag: str) -> None:
    """A time."""
    if seconds <= 0:
        raise UsageError(f"{flag}: must be more than 0 seconds")
