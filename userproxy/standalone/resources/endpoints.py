"""Endpoints, the older form of EndpointSlices: shape, defaults, the canonical order of subsets, checks.

Loopback addresses are allowed here too, other than at a real server. Source: `pkg/apis/core/validation/validation.go`
(ValidateEndpoints), `pkg/api/v1/endpoints/util.go` (RepackSubsets).
"""

from __future__ import annotations

import ipaddress
from collections.abc import Iterable
from typing import Any

from userproxy.standalone.objects import Json
from userproxy.standalone.resources.metadata import TARGET_REF, check_metadata, dns_label, top_level
from userproxy.standalone.resources.service_addresses import BAD_ADDRESS, is_address
from userproxy.standalone.resources.service_rules import PORT_RANGE, PROTOCOLS, unroutable
from userproxy.standalone.schema import INT32, STRING, always, listing, pointer, said, struct
from userproxy.standalone.statuses import Cause, invalid, required, unsupported

DEPRECATION = "v1 Endpoints is deprecated in v1.33+; use discovery.k8s.io/v1 EndpointSlice"

_ADDRESS = struct(
    "EndpointAddress",
    ip=always(STRING),
    hostname=STRING,
    nodeName=pointer(STRING),
    targetRef=TARGET_REF,
)

_PORT = struct(
    "EndpointPort",
    name=said(STRING, "Name of the Service port this is for."),
    port=always(INT32),
    protocol=STRING,
    appProtocol=pointer(STRING),
)

SHAPE = top_level(
    "Endpoints",
    subsets=said(
        listing(
            struct(
                "EndpointSubset",
                addresses=listing(_ADDRESS),
                notReadyAddresses=listing(_ADDRESS),
                ports=listing(_PORT),
            )
        ),
        "Addresses with the ports they have in common.",
    ),
)


def fill_defaults(item: Json) -> None:
    """Fill in what the user left out and bring the subsets into their canonical order; changes `item`."""
    subsets = item.get("subsets", [])
    for subset in subsets:
        for port in subset.get("ports", []):
            port.setdefault("protocol", "TCP")
    if subsets:
        item["subsets"] = repack(subsets)


def repack(subsets: Iterable[Json]) -> list[Json]:
    """Return subsets in which each address stands once for each set of ports, all in a fixed order."""
    ports_of: dict[tuple[Any, ...], dict[tuple[Any, ...], Json]] = {}
    for subset in subsets:
        for field in ("addresses", "notReadyAddresses"):
            for address in subset.get(field, []):
                identity = (
                    address["ip"],
                    address.get("targetRef", {}).get("uid", ""),
                    field,
                    address.get("hostname", ""),
                )
                entry = ports_of.setdefault(identity, {})
                entry[()] = address
                for port in subset.get("ports", []):
                    entry[
                        (port.get("name", ""), port["port"], port["protocol"], port.get("appProtocol", ""))
                    ] = port
    grouped: dict[tuple[Any, ...], Json] = {}
    for identity, entry in ports_of.items():
        address, ports = entry[()], {key: port for key, port in entry.items() if key}
        subset = grouped.setdefault(tuple(sorted(ports)), {"ports": [ports[key] for key in sorted(ports)]})
        subset.setdefault(identity[2], []).append(address)
    return [_sorted_subset(grouped[key]) for key in sorted(grouped)]


def _sorted_subset(subset: Json) -> Json:
    result: Json = {}
    for field in ("addresses", "notReadyAddresses"):
        if subset.get(field):
            result[field] = sorted(subset[field], key=_address_order)
    if subset["ports"]:
        result["ports"] = subset["ports"]
    return result


def _address_order(address: Json) -> tuple[Any, ...]:
    text = address["ip"]
    packed = ipaddress.ip_address(text).packed.rjust(16, b"\0") if is_address(text) else text.encode()
    return (packed, address.get("targetRef", {}).get("uid", ""))


def check(item: Json) -> list[Cause]:
    """Return every fault of an Endpoints object."""
    causes = check_metadata(item["metadata"], label_name=False)
    for index, subset in enumerate(item.get("subsets", [])):
        place = f"subsets[{index}]"
        if not subset.get("addresses") and not subset.get("notReadyAddresses"):
            causes.append(required(place, "must specify `addresses` or `notReadyAddresses`"))
        for field in ("addresses", "notReadyAddresses"):
            for number, address in enumerate(subset.get(field, [])):
                causes += _address_faults(address["ip"], f"{place}.{field}[{number}].ip")
        ports = subset.get("ports", [])
        for number, port in enumerate(ports):
            causes += _port_faults(port, f"{place}.ports[{number}]", named=len(ports) > 1)
    return causes


def _address_faults(address: str, field: str) -> list[Cause]:
    if not is_address(address):
        return [invalid(field, address, BAD_ADDRESS)]
    fault = unroutable(address)
    if fault and not ipaddress.ip_address(address).is_loopback:
        return [invalid(field, address, fault)]
    return []


def _port_faults(port: Json, field: str, *, named: bool) -> list[Cause]:
    causes = []
    if named and not port.get("name"):
        causes.append(required(f"{field}.name"))
    elif port.get("name"):
        causes += [invalid(f"{field}.name", port["name"], fault) for fault in dns_label(port["name"])]
    if not 1 <= port["port"] <= 65535:
        causes.append(invalid(f"{field}.port", port["port"], PORT_RANGE))
    if port["protocol"] not in PROTOCOLS:
        causes.append(unsupported(f"{field}.protocol", port["protocol"], PROTOCOLS))
    return causes
