"""Who may talk to the API server at all: no web page of a foreign origin, and no foreign name for this address.

A page in a browser on this machine can send requests to loopback, and by DNS rebinding even read the answers. Both show in
the headers `Origin` and `Host`, and are refused with 403. Tokens are not this module's matter.
"""

from __future__ import annotations

import functools
import ipaddress
from urllib.parse import urlsplit

from userproxy.standalone.statuses import Refusal, forbidden_request

_LOCAL_NAMES = frozenset(("localhost", "localhost.localdomain", "ip6-localhost"))


class HostGuard:
    """Checks the headers of requests to a server bound to `bound`, an IP address or a name."""

    def __init__(self, bound: str) -> None:
        self._bound = bound.lower()
        self._any_address = _address(bound) is not None and ipaddress.ip_address(bound).is_unspecified

    def check(self, host: str, origin: str | None) -> Refusal | None:
        """Return the refusal for a request with these headers, None when it may pass."""
        if not self._is_ours(_hostname(f"//{host}")):
            text = f"the Host header {host[:100]!r} names neither loopback nor the address of this server"
            return forbidden_request(f"{text}: use {self._bound} or localhost in the URL")
        if origin is not None and not self._is_ours(_hostname(origin)):
            return forbidden_request(f"requests from pages of the origin {origin[:100]!r} are refused")
        return None

    def _is_ours(self, name: str) -> bool:
        if name in _LOCAL_NAMES or name == self._bound:
            return True
        address = _address(name)
        if address is None:
            return False
        # bound to every address, each of them is ours; a rebinding attacker has a name, never an address literal
        return address.is_loopback or self._any_address


@functools.lru_cache(maxsize=256)
def _hostname(url: str) -> str:
    try:
        return urlsplit(url).hostname or ""
    except ValueError:
        return ""


@functools.lru_cache(maxsize=256)
def _address(text: str) -> ipaddress.IPv4Address | ipaddress.IPv6Address | None:
    try:
        return ipaddress.ip_address(text)
    except ValueError:
        return None
