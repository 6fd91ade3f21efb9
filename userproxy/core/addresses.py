"""Addresses of our own HTTP servers as text: what a setting such as `--healthz-bind-address` may say.

Owns the parsing of bind addresses and of Host headers. Resolves no names, opens no sockets (`admin.server` does).
"""

from __future__ import annotations

import ipaddress

import msgspec

from userproxy.errors import UsageError
from userproxy.model import Address, Family, family_of

HEALTHZ_PORT = 10256
METRICS_PORT = 10249
"""Those of kube-proxy."""


class BindAddress(msgspec.Struct, frozen=True):
    """An IP address in canonical text and a port to listen on; port 0 lets the kernel choose."""

    host: str
    port: int

    @property
    def family(self) -> Family:
        """The IP family of the address."""
        return family_of(self.host)

    @property
    def loopback(self) -> bool:
        """Whether only programs on this host can reach it."""
        return ipaddress.ip_address(self.host).is_loopback

    def __str__(self) -> str:
        return address_text((self.host, self.port))


class AdminAddress(msgspec.Struct, frozen=True):
    """Where an agent's metrics server listens, and whether it has the live page."""

    text: str
    page: bool

    @property
    def is_default(self) -> bool:
        """Whether commands that ask an agent ask there if nothing else is said."""
        return self.text == address_text(("127.0.0.1", METRICS_PORT))


def address_text(address: Address) -> str:
    """Return `host:port`, with brackets around an IPv6 address."""
    host, port = address
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"


def parse_bind_address(text: str, default_port: int, setting: str) -> BindAddress | None:
    """Return the address that `setting` asks for, None when it is empty (the server is disabled).

    Accepted as by kube-proxy: `IP:PORT`, `[IPv6]:PORT`, an IP alone (gets `default_port`), `:PORT` (every IPv4 address); and
    `localhost` for 127.0.0.1. Raises UsageError for anything else.
    """
    if not text:
        return None
    host, port = _split(text)
    if host == "localhost":
        host = "127.0.0.1"
    try:
        # A zone (fe80::1%eth0) names an interface, which the socket address has no place for.
        canonical = "" if "%" in host else str(ipaddress.ip_address(host))
        number = default_port if port is None else _port(port)
    except ValueError:
        canonical, number = "", 0
    if not canonical:
        raise UsageError(
            f"{setting}: {text!r} is not an address to listen on; write IP:PORT, [IPv6]:PORT, "
            f"an IP alone (port {default_port}), or '' for no server"
        )
    return BindAddress(canonical, number)


def is_local_host_header(value: str) -> bool:
    """Whether a Host header holds an IP literal or a name that always means this host.

    A page of a foreign site can make a browser ask a loopback server under the site's own name (DNS rebinding); such a
    request carries that name here. IP literals cannot be rebound.
    """
    host = _split(value)[0].rstrip(".").lower()
    if host == "localhost" or host.endswith(".localhost"):
        return True
    try:
        ipaddress.ip_address(host)
    except ValueError:
        return False
    return True


def _split(text: str) -> tuple[str, str | None]:
    """Return host and port text; the port is None where there is none."""
    if text.startswith("["):
        host, bracket, rest = text[1:].partition("]")
        if not bracket or ":" not in host or (rest and not rest.startswith(":")):
            return "", None
        return host, rest[1:] if rest else None
    if text.count(":") != 1:
        return text, None
    host, _, port = text.partition(":")
    return host or "0.0.0.0", port


def _port(text: str) -> int:
    if not (text.isascii() and text.isdigit()) or len(text) > 5 or int(text) > 65535:
        raise ValueError(text)
    return int(text)
