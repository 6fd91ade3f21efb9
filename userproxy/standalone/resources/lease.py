"""Leases: shape and checks. Clients elect leaders with them; the server only keeps them.

Source: `pkg/apis/coordination/validation/validation.go`.
"""

from __future__ import annotations

from userproxy.standalone.objects import Json
from userproxy.standalone.resources.metadata import check_metadata, top_level
from userproxy.standalone.schema import INT32, STRING, TIME, always, pointer, struct
from userproxy.standalone.statuses import Cause, invalid

SHAPE = top_level(
    "Lease",
    "Who holds a lock, and until when.",
    spec=always(
        struct(
            "LeaseSpec",
            holderIdentity=pointer(STRING),
            leaseDurationSeconds=pointer(INT32),
            acquireTime=TIME,
            renewTime=TIME,
            leaseTransitions=pointer(INT32),
            strategy=pointer(STRING),
            preferredHolder=pointer(STRING),
        )
    ),
)


def check(item: Json) -> list[Cause]:
    """Return every fault of a lease."""
    causes = check_metadata(item["metadata"], label_name=False)
    spec = item["spec"]
    for field, least in (("leaseDurationSeconds", 1), ("leaseTransitions", 0)):
        value = spec.get(field)
        if value is not None and value < least:
            text = "must be greater than 0" if least else "must be greater than or equal to 0"
            causes.append(invalid(f"spec.{field}", value, text))
    return causes
