"""The annotations `userproxy.dev/...` that a Service may carry: their names, values and meaning.

Owns the parsing. A wrong value never harms the Service: it is named in a warning and the default holds.
"""

from __future__ import annotations

import msgspec

from userproxy.model import NoEndpoints, Service

PREFIX = "userproxy.dev/"
NO_ENDPOINTS = PREFIX + "no-endpoints"

KNOWN = {
    NO_ENDPOINTS: "`drop` or `reject`: what a client meets while no endpoint is usable (default: --no-endpoints)",
}
"""Every annotation with its one-line description, for the documentation."""


class ServiceSettings(msgspec.Struct, frozen=True):
    """What the annotations of one Service ask for, and what was wrong with them (one line each)."""

    no_endpoints: NoEndpoints | None = None
    warnings: tuple[str, ...] = ()


def read_annotations(service: Service) -> ServiceSettings:
    """Return the settings of `service`; unknown names and bad values become warnings."""
    no_endpoints: NoEndpoints | None = None
    warnings: list[str] = []
    for name, value in service.annotations:
        if name not in KNOWN:
            known = ", ".join(sorted(KNOWN))
            warnings.append(
                f"Service {service.key}: annotation {name} is not known and ignored; known: {known}"
            )
        elif value in ("drop", "reject"):
            no_endpoints = NoEndpoints(value)
        else:
            warnings.append(
                f"Service {service.key}: annotation {name}={value[:40]!r} is ignored; use `drop` or `reject`"
            )
    return ServiceSettings(no_endpoints, tuple(warnings))
