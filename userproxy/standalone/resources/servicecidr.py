"""ServiceCIDRs: shape and checks. One named `kubernetes` says which range cluster IPs come from.

Others can be stored, and change nothing: the range of this server is given when it starts. Source:
`pkg/apis/networking/validation/validation.go`.
"""

from __future__ import annotations

import ipaddress

from userproxy.standalone.objects import Json
from userproxy.standalone.resources.metadata import CONDITION, check_metadata, top_level
from userproxy.standalone.schema import always, listing, strings, struct
from userproxy.standalone.statuses import Cause, invalid, required

DEFAULT_NAME = "kubernetes"

SHAPE = top_level(
    "ServiceCIDR",
    "A range that cluster IPs are taken from.",
    spec=always(struct("ServiceCIDRSpec", cidrs=strings())),
    status=always(
        struct(
            "ServiceCIDRStatus",
            conditions=listing(CONDITION, merge_key="type", list_keys=("type",)),
        )
    ),
)


def check(item: Json, old: Json | None) -> list[Cause]:
    """Return every fault of a service range."""
    causes = check_metadata(item["metadata"], label_name=False)
    ranges = item["spec"].get("cidrs", [])
    if not ranges:
        return [*causes, required("spec.cidrs", "at least one CIDR required")]
    if old is not None and ranges[:1] != old["spec"].get("cidrs", [])[:1]:
        causes.append(invalid("spec.cidrs[0]", ranges[0], "field is immutable"))
    for index, text in enumerate(ranges):
        try:
            ipaddress.ip_network(text)
        except ValueError:
            fault = "must be a valid CIDR value, (e.g. 10.9.8.0/24 or 2001:db8::/64)"
            causes.append(invalid(f"spec.cidrs[{index}]", text, fault))
    return causes
