"""The annotations `userproxy.dev/...` that a Service may carry: their names, values and meaning.

Owns the parsing. A wrong value never harms the Service: it is named in a warning and the default holds.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import msgspec

from userproxy.model import DEFAULT_OPTIONS, NoEndpoints, PortOptions, Service

PREFIX = "userproxy.dev/"
NO_ENDPOINTS = PREFIX + "no-endpoints"
MAX_CONNECTIONS = PREFIX + "max-connections"
PROXY_PROTOCOL = PREFIX + "proxy-protocol"

KNOWN = {
    NO_ENDPOINTS: "`drop` or `reject`: what a client meets while no endpoint is usable (default: --no-endpoints)",
    MAX_CONNECTIONS: "a number: connections open at once for each port of the Service; more wait in the kernel's queue",
    PROXY_PROTOCOL: "`v1` or `v2`: endpoints get a PROXY protocol header with the address of the client and the one that it "
    "had dialled, in front of the client's bytes; every endpoint must expect it (HAProxy: `accept-proxy`). TCP only",
}
"""Every annotation with its one-line description, for the documentation."""


class ServiceSettings(msgspec.Struct, frozen=True):
    """What the annotations of one Service ask for, and what was wrong with them (one line each)."""

    no_endpoints: NoEndpoints | None = None
    options: PortOptions = DEFAULT_OPTIONS
    warnings: tuple[str, ...] = ()


def read_annotations(service: Service) -> ServiceSettings:
    """Return the settings of `service`; unknown names and bad values become warnings."""
    no_endpoints: NoEndpoints | None = None
    options: dict[str, Any] = (
        {"affinity_seconds": service.affinity_seconds} if service.affinity_seconds else {}
    )
    warnings: list[str] = []
    for name, value in service.annotations:
        if name not in KNOWN:
            known = ", ".join(sorted(KNOWN))
            warnings.append(
                f"Service {service.key}: annotation {name} is not known and ignored; known: {known}"
            )
        elif name == NO_ENDPOINTS and value in ("drop", "reject"):
            no_endpoints = NoEndpoints(value)
        elif name == NO_ENDPOINTS or (parsed := _PARSERS[name][1](value)) is None:
            wanted = "`drop` or `reject`" if name == NO_ENDPOINTS else _PARSERS[name][2]
            warnings.append(
                f"Service {service.key}: annotation {name}={value[:40]!r} is ignored; use {wanted}"
            )
        else:
            options[_PARSERS[name][0]] = parsed
    if "proxy_protocol" in options:
        warnings.extend(
            f"Service {service.key}: annotation {PROXY_PROTOCOL} does nothing for the {port.protocol} port "
            f"{port.name or port.port}: the header exists for TCP only"
            for port in service.ports
            if port.protocol != "TCP"
        )
    return ServiceSettings(
        no_endpoints, PortOptions(**options) if options else DEFAULT_OPTIONS, tuple(warnings)
    )


def _count(text: str) -> int | None:
    number = int(text[:10]) if text.isascii() and text.isdigit() else 0
    return number if number > 0 else None


_PARSERS: dict[str, tuple[str, Callable[[str], Any], str]] = {
    MAX_CONNECTIONS: ("max_connections", _count, "a number of connections above 0"),
    PROXY_PROTOCOL: ("proxy_protocol", {"v1": 1, "v2": 2}.get, "`v1` or `v2`"),
}
"""For each annotation that is an option of the data plane: the field of PortOptions, its parser (None: not valid), and what to
write instead of a bad value."""
