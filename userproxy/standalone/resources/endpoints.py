"""Endpoints, the older form of EndpointSlices: shape, defaults, the canonical order of subsets, checks.

Loopback addresses are allowed here too, other than at a real server. Source: `pkg/apis/core/validation/validation.go`
(ValidateEndpoints), `pkg/api/v1/endpoints/util.go` (RepackSubsets).
"""

from __future__ import annotations

from collections.abc import Iterable

from userproxy.standalone.objects import Json
from userproxy.standalone.resources.ip import is_address, is_loopback, unroutable
from userproxy.standalone.resources.metadata import TARGET_REF, check_metadata, dns_label, top_level
from userproxy.standalone.resources.service_addresses import BAD_ADDRESS
from userproxy.standalone.resources.service_rules import PORT_RANGE, PROTOCOLS
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
    "The addresses behind a Service, in the old form; EndpointSlices say the same.",
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

_FIELDS = ("addresses", "notReadyAddresses", "ports")
_AddressKey = tuple[str, str]
_PortKey = tuple[str, int, str, str]


def fill_defaults(item: Json) -> None:
    """Fill in what the user left out and bring the subsets into their canonical order; changes `item`."""
    subsets = item.get("subsets", [])
    for subset in subsets:
        for port in subset.get("ports", []):
            port.setdefault("protocol", "TCP")
    if subsets:
        item["subsets"] = repack(subsets)


def repack(subsets: Iterable[Json]) -> list[Json]:
    """Return subsets in which each port stands once with all its addresses; ports with equal addresses share a subset.

    An address that is both ready and not ready for a port is not ready.
    """
    subsets = list(subsets)
    if len(subsets) == 1 and _is_plain(subsets[0]):
        return [{field: subsets[0][field] for field in _FIELDS if subsets[0].get(field)}]
    addresses: dict[_AddressKey, Json] = {}
    ports: dict[_PortKey, Json] = {}
    ready: dict[_PortKey, dict[_AddressKey, bool]] = {}
    for subset in subsets:
        for port in subset.get("ports") or [{}]:
            port_key = _port_key(port)
            ports.setdefault(port_key, port)
            states = ready.setdefault(port_key, {})
            for field in ("addresses", "notReadyAddresses"):
                for address in subset.get(field, []):
                    key = _address_key(address)
                    addresses.setdefault(key, address)
                    states[key] = states.get(key, True) and field == "addresses"
    grouped: dict[tuple[tuple[_AddressKey, bool], ...], list[_PortKey]] = {}
    for port_key in sorted(ready):
        grouped.setdefault(tuple(sorted(ready[port_key].items())), []).append(port_key)
    return [
        _subset(states, [ports[key] for key in port_keys if ports[key]], addresses)
        for states, port_keys in grouped.items()
    ]


def _is_plain(subset: Json) -> bool:
    """Return whether there is one address and at most one port, so nothing to order or to bring together."""
    found = len(subset.get("addresses", ())) + len(subset.get("notReadyAddresses", ()))
    return found == 1 and len(subset.get("ports", ())) <= 1


def _subset(
    states: tuple[tuple[_AddressKey, bool], ...], ports: list[Json], addresses: dict[_AddressKey, Json]
) -> Json:
    found = {
        "addresses": [addresses[key] for key, is_ready in states if is_ready],
        "notReadyAddresses": [addresses[key] for key, is_ready in states if not is_ready],
        "ports": ports,
    }
    return {field: value for field, value in found.items() if value}


def _address_key(address: Json) -> _AddressKey:
    """Return the identity of an address, which is its place in the order too: a real server compares the texts."""
    return (address["ip"], address.get("targetRef", {}).get("uid", ""))


def _port_key(port: Json) -> _PortKey:
    number = port.get("port", -1)
    return (port.get("name", ""), number, port.get("protocol", "TCP"), port.get("appProtocol", ""))


def check(item: Json, old: Json | None) -> list[Cause]:
    """Return every fault of an Endpoints object."""
    causes = check_metadata(item["metadata"], label_name=False, old=old)
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
    if fault and not is_loopback(address):
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
