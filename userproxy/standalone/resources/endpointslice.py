"""EndpointSlices: shape, defaults and checks.

Loopback addresses are allowed for endpoints here, so that servers on this machine can stand behind a Service; a real
API server refuses them (422), as it refuses link-local ones, which stay refused here. Source of the rest:
`pkg/apis/discovery/v1/defaults.go`, `pkg/apis/discovery/validation/validation.go`.
"""

from __future__ import annotations

from userproxy.standalone.objects import Json
from userproxy.standalone.resources.ip import is_address, is_loopback, unroutable
from userproxy.standalone.resources.metadata import (
    TARGET_REF,
    check_metadata,
    dns_label,
    dns_subdomain,
    label_value,
    qualified_name,
    top_level,
)
from userproxy.standalone.resources.service_rules import PROTOCOLS
from userproxy.standalone.schema import (
    BOOL,
    INT32,
    STRING,
    always,
    listing,
    mapping,
    pointer,
    said,
    strings,
    struct,
)
from userproxy.standalone.statuses import Cause, duplicate, invalid, required, too_many, unsupported

_HINTS = struct(
    "EndpointHints",
    forZones=listing(struct("ForZone", name=always(STRING))),
    forNodes=listing(struct("ForNode", name=always(STRING))),
)

_ENDPOINT = struct(
    "Endpoint",
    addresses=always(said(strings(is_set=True), "Addresses of one family; the first is used.")),
    conditions=always(
        struct(
            "EndpointConditions",
            ready=pointer(said(BOOL, "May get new connections; absent means yes.")),
            serving=pointer(BOOL),
            terminating=pointer(BOOL),
        )
    ),
    hostname=pointer(STRING),
    targetRef=TARGET_REF,
    deprecatedTopology=mapping(),
    nodeName=pointer(STRING),
    zone=pointer(STRING),
    hints=_HINTS,
)

_PORT = struct(
    "EndpointPort",
    name=pointer(said(STRING, "Name of the Service port this is for.")),
    protocol=pointer(STRING),
    port=pointer(INT32),
    appProtocol=pointer(STRING),
)

SHAPE = top_level(
    "EndpointSlice",
    "Some of the endpoints behind a Service, of one address family.",
    addressType=always(said(STRING, "IPv4, IPv6 or FQDN; may not change.")),
    endpoints=always(listing(_ENDPOINT)),
    ports=always(listing(_PORT)),
)

_ADDRESS_TYPES = ("FQDN", "IPv4", "IPv6")
MOST_ENDPOINTS, MOST_PORTS, MOST_ADDRESSES = 1000, 20000, 100


def fill_defaults(item: Json) -> None:
    """Fill in what the user left out; changes `item`."""
    for port in item["ports"] or []:
        port.setdefault("name", "")
        port.setdefault("protocol", "TCP")


def check(item: Json, old: Json | None) -> list[Cause]:
    """Return every fault of a slice."""
    causes = check_metadata(item["metadata"], label_name=False, old=old)
    family = item["addressType"]
    if not family:
        causes.append(required("addressType"))
    elif family not in _ADDRESS_TYPES:
        causes.append(unsupported("addressType", family, _ADDRESS_TYPES))
    elif old is not None and old["addressType"] != family:
        return [*causes, invalid("addressType", family, "field is immutable")]
    endpoints, ports = item["endpoints"] or [], item["ports"] or []
    if len(endpoints) > MOST_ENDPOINTS:
        causes.append(too_many("endpoints", len(endpoints), MOST_ENDPOINTS))
        endpoints = []
    for index, endpoint in enumerate(endpoints):
        causes += _endpoint(endpoint, f"endpoints[{index}]", family)
    if len(ports) > MOST_PORTS:
        causes.append(too_many("ports", len(ports), MOST_PORTS))
        ports = []
    names: set[str] = set()
    for index, port in enumerate(ports):
        causes += _port(port, f"ports[{index}]", names)
    return causes


def warnings(item: Json) -> tuple[str, ...]:
    """Return what the writer of a slice is warned of."""
    return ("spec.addressType: FQDN endpoints are deprecated",) if item["addressType"] == "FQDN" else ()


def _endpoint(endpoint: Json, field: str, family: str) -> list[Cause]:
    addresses = endpoint["addresses"] or []
    causes: list[Cause] = []
    if not addresses:
        causes.append(required(f"{field}.addresses", "must contain at least 1 address"))
    elif len(addresses) > MOST_ADDRESSES:
        causes.append(too_many(f"{field}.addresses", len(addresses), MOST_ADDRESSES))
        addresses = []
    for index, address in enumerate(addresses):
        causes += _address(address, f"{field}.addresses", index, family)
    if endpoint.get("nodeName"):
        causes += [
            invalid(f"{field}.nodeName", endpoint["nodeName"], f) for f in dns_subdomain(endpoint["nodeName"])
        ]
    if endpoint.get("hostname"):
        causes += [
            invalid(f"{field}.hostname", endpoint["hostname"], f) for f in dns_label(endpoint["hostname"])
        ]
    for name, hints in endpoint.get("hints", {}).items():
        for index, hint in enumerate(hints):
            rule = label_value if name == "forZones" else dns_subdomain
            causes += [
                invalid(f"{field}.hints.{name}[{index}].name", hint["name"], f) for f in rule(hint["name"])
            ]
    return causes


def _address(address: str, field: str, index: int, family: str) -> list[Cause]:
    if family == "FQDN":
        return [invalid(field, address, fault) for fault in dns_subdomain(address)]
    if family not in ("IPv4", "IPv6"):
        return []
    if not is_address(address) or (":" in address) != (family == "IPv6"):
        return [invalid(field, address, f"must be an {family} address")]
    fault = unroutable(address)
    if fault and not is_loopback(address):
        return [invalid(f"{field}[{index}]", address, fault)]
    return []


def _port(port: Json, field: str, names: set[str]) -> list[Cause]:
    causes: list[Cause] = []
    name = port["name"]
    if name in names:
        causes.append(duplicate(f"{field}.name", name))
    elif name:
        causes += [invalid(f"{field}.name", name, fault) for fault in dns_label(name)]
    names.add(name)
    if port["protocol"] not in PROTOCOLS:
        causes.append(unsupported(f"{field}.protocol", port["protocol"], PROTOCOLS))
    if port.get("appProtocol"):
        faults = qualified_name(port["appProtocol"])
        causes += [invalid(f"{field}.appProtocol", port["appProtocol"], fault) for fault in faults]
    return causes
