"""The annotations `userproxy.dev/...` that a Service may carry: their names, values and meaning.

Owns the parsing. A wrong value never harms the Service: it is named in a warning and the default holds.
"""

from __future__ import annotations

import msgspec

from userproxy.model import NoEndpoints, Service

PREFIX = "userproxy.dev/"
NO_ENDPOINTS = PREFIX + "no-endpoints"
MAX_CONNECTIONS = PREFIX + "max-connections"

KNOWN = {
    NO_ENDPOINTS: "`drop` or `reject`: what a client meets while no endpoint is usable (default: --no-endpoints)",
    MAX_CONNECTIONS: "a number: connections open at once for each port of the Service; more wait in the kernel's queue",
}
"""Every annotation with its one-line description, for the documentation."""


class ServiceSettings(msgspec.Struct, frozen=True):
    """What the annotations of one Service ask for, and what was wrong with them (one line each)."""

    no_endpoints: NoEndpoints | None = None
    max_connections: int = 0
    warnings: tuple[str, ...] = ()


def read_annotations(service: Service) -> ServiceSettings:
    """Return the settings of `service`; unknown names and bad values become warnings."""
    no_endpoints: NoEndpoints | None = None
    max_connections = 0
    warnings: list[str] = []
    for name, value in service.annotations:
        if name not in KNOWN:
            known = ", ".join(sorted(KNOWN))
            warnings.append(
                f"Service {service.key}: annotation {name} is not known and ignored; known: {known}"
            )
        elif name == NO_ENDPOINTS and value in ("drop", "reject"):
            no_endpoints = NoEndpoints(value)
        elif name == MAX_CONNECTIONS and value.isascii() and value.isdigit() and int(value[:10]) > 0:
            max_connections = int(value[:10])
        else:
            wanted = "`drop` or `reject`" if name == NO_ENDPOINTS else "a number of connections above 0"
            warnings.append(
                f"Service {service.key}: annotation {name}={value[:40]!r} is ignored; use {wanted}"
            )
    return ServiceSettings(no_endpoints, max_connections, tuple(warnings))
