"""The annotations `userproxy.dev/...` that a Service may carry: their names, values and meaning.

Owns the parsing. A wrong value never harms the Service: it is named in a warning and the default holds.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import msgspec
from msgspec import structs

from userproxy.api_objects import Service
from userproxy.model import DEFAULT_OPTIONS, Balance, NoEndpoints, PortOptions

PREFIX = "userproxy.dev/"
NO_ENDPOINTS = PREFIX + "no-endpoints"
MAX_CONNECTIONS = PREFIX + "max-connections"
PROXY_PROTOCOL = PREFIX + "proxy-protocol"
BALANCE = PREFIX + "balance"
EJECT = PREFIX + "eject"
DRAIN_SECONDS = PREFIX + "drain-seconds"
TRANSPARENT = PREFIX + "transparent"

METHODS = tuple(one.value for one in Balance)
_ONE_METHOD = f"{', '.join(f'`{one}`' for one in METHODS[:-1])} or `{METHODS[-1]}`"

KNOWN = {
    NO_ENDPOINTS: "`drop` or `reject`: what a client meets while no endpoint is usable (default: --no-endpoints)",
    MAX_CONNECTIONS: "a number: connections open at once for each TCP port of the Service; more wait in the kernel's queue",
    PROXY_PROTOCOL: "`v1` or `v2`: endpoints get a PROXY protocol header with the address of the client and the one that it "
    "had dialled, in front of the client's bytes; every endpoint must expect it (HAProxy: `accept-proxy`). TCP only",
    TRANSPARENT: "`true` or `false`: endpoints see the client's own address as the source of connections, where answers to it "
    "come back by this node; needs --transparent (default: whether that is `all`)",
    BALANCE: f"{_ONE_METHOD}: how the endpoint of a new connection is chosen (default: --balance)",
    EJECT: "a number: after so many failed dials in a row an endpoint rests, 1 s at first, up to 60 s, and a single "
    "connection tries it again; never more than half of the endpoints; 0: never (default: --eject)",
    DRAIN_SECONDS: "a number: connections to an endpoint that left the Service are reset after so many seconds, 0: at once; "
    "without it they go on for ever, as with kube-proxy",
}
"""Every annotation with its one-line description, for the documentation."""


class ServiceSettings(msgspec.Struct, frozen=True):
    """What the annotations of one Service ask for, and what was wrong with them (one line each)."""

    no_endpoints: NoEndpoints | None = None
    options: PortOptions = DEFAULT_OPTIONS
    warnings: tuple[str, ...] = ()


def read_annotations(
    service: Service, defaults: PortOptions = DEFAULT_OPTIONS, *, transparent_allowed: bool = False
) -> ServiceSettings:
    """Return the settings of `service`, `defaults` where it says nothing; unknown names and bad values become warnings.

    `transparent_allowed`: dials from the client's own address can be had at all.
    """
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
    if options.get("transparent") and not transparent_allowed:
        del options["transparent"]
        warnings.append(
            f"Service {service.key}: annotation {TRANSPARENT} is ignored: "
            "start userproxy with --transparent annotated (or all) to allow it"
        )
    return ServiceSettings(
        no_endpoints, structs.replace(defaults, **options) if options else defaults, tuple(warnings)
    )


def _count(text: str) -> int | None:
    number = int(text[:10]) if text.isascii() and text.isdigit() else 0
    return number if number > 0 else None


def _number(text: str) -> int | None:
    return int(text) if text.isascii() and text.isdigit() and len(text) <= 6 else None


def _method(text: str) -> Balance | None:
    return Balance(text) if text in METHODS else None


_PARSERS: dict[str, tuple[str, Callable[[str], Any], str]] = {
    MAX_CONNECTIONS: ("max_connections", _count, "a number of connections above 0"),
    PROXY_PROTOCOL: ("proxy_protocol", {"v1": 1, "v2": 2}.get, "`v1` or `v2`"),
    TRANSPARENT: ("transparent", {"true": True, "false": False}.get, "`true` or `false`"),
    BALANCE: ("balance", _method, _ONE_METHOD),
    EJECT: ("eject_failures", _number, "a number of failed dials such as 3, or 0"),
    DRAIN_SECONDS: ("drain_seconds", _number, "a number of seconds such as 30, or 0"),
}
"""For each annotation that is an option of the data plane: the field of PortOptions, its parser (None: not valid), and what to
write instead of a bad value."""
