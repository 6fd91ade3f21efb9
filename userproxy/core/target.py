"""What a person wants explained: an address, or a Service, in the ways people write them.

Owns the parsing. Whether there is such a Service is `core.explain`'s question.
"""

from __future__ import annotations

import ipaddress
import re

import msgspec

from userproxy.core.addresses import address_text
from userproxy.errors import UsageError
from userproxy.model import ServiceName

_HOW = (
    "write ADDRESS:PORT, ADDRESS:PORT/udp, svc/NAME, svc/NAME.NAMESPACE or NAMESPACE/NAME, "
    "each Service with :PORT behind it if only that port is meant"
)
_NAME = r"[a-z0-9]([-a-z0-9]{0,61}[a-z0-9])?"
"""RFC 1123 label, which Namespaces and Services are named by."""
_SERVICE = re.compile(
    rf"(svc|service|services)/(?P<name>{_NAME})(\.(?P<namespace>{_NAME})(\.svc(\.[-a-z0-9.]+)?)?)?"
)
_QUALIFIED = re.compile(rf"(?P<namespace>{_NAME})/(?P<name>{_NAME})")
_PROTOCOLS = frozenset({"TCP", "UDP", "SCTP"})


class Target(msgspec.Struct, frozen=True):
    """Either `service` or `address` is set. `port` is a number or the name of a port, empty for all; so is `protocol`."""

    service: ServiceName | None = None
    address: str = ""
    port: str = ""
    protocol: str = ""

    def __str__(self) -> str:
        if self.address:
            text = address_text((self.address, int(self.port))) if self.port else self.address
        else:
            text = f"{self.service}:{self.port}" if self.port else str(self.service)
        return f"{text}/{self.protocol.lower()}" if self.protocol else text


def parse_target(text: str) -> Target:
    """Return what `text` names. Raises UsageError."""
    rest, protocol = _split_protocol(text.strip())
    address = _address(rest)
    if address is not None:
        host, port = address
        return Target(address=host, port=port, protocol=protocol or ("TCP" if port else ""))
    name, _, port = rest.partition(":")
    found = _SERVICE.fullmatch(name) or _QUALIFIED.fullmatch(name)
    if found is None or (port and not re.fullmatch(r"[-a-z0-9]{1,15}", port)):
        raise UsageError(f"{text!r} names nothing that can be explained; {_HOW}")
    return Target(ServiceName(found["namespace"] or "default", found["name"]), port=port, protocol=protocol)


def parse_source(text: str) -> str:
    """Return the canonical text of a client's address, empty for none. Raises UsageError."""
    try:
        return str(ipaddress.ip_address(text)) if text else ""
    except ValueError:
        raise UsageError(f"--from: {text!r} is not an IP address of a client") from None


def _split_protocol(text: str) -> tuple[str, str]:
    rest, slash, last = text.rpartition("/")
    if slash and last.upper() in _PROTOCOLS and (":" in rest or "/" in rest):
        return rest, last.upper()
    return text, ""


def _address(text: str) -> tuple[str, str] | None:
    """Return host and port text of `IP`, `IP:PORT` or `[IPv6]:PORT`, None when it is none of them."""
    found = re.fullmatch(
        r"\[(?P<six>[0-9A-Fa-f:.]+)\](:(?P<port6>\d{1,5}))?|(?P<four>[0-9.]+)(:(?P<port4>\d{1,5}))?", text
    )
    host = (found["six"] or found["four"]) if found else text
    port = (found["port6"] or found["port4"] or "") if found else ""
    try:
        canonical = str(ipaddress.ip_address(host))
    except ValueError:
        return None
    if port and not 0 < int(port) < 65536:
        raise UsageError(f"{text!r}: there is no port {port}; ports are 1 to 65535")
    return canonical, str(int(port)) if port else ""
