"""What is wrong with a Service: the checks of a real server, in its order and words.

Owns rules on values that are already of the right type and have their defaults and addresses. Source:
`pkg/apis/core/validation/validation.go` (ValidateService).
"""

from __future__ import annotations

import ipaddress
import re

from userproxy.standalone.objects import Json
from userproxy.standalone.resources.ip import is_address, unroutable
from userproxy.standalone.resources.metadata import (
    check_labels,
    check_metadata,
    dns_label,
    dns_subdomain,
    qualified_name,
)
from userproxy.standalone.resources.service import EXTERNAL_TYPES, is_headless
from userproxy.standalone.resources.service_addresses import BAD_ADDRESS
from userproxy.standalone.statuses import Cause, duplicate, invalid, required, unsupported

PORT_RANGE = "must be between 1 and 65535, inclusive"
PROTOCOLS = ("SCTP", "TCP", "UDP")
_TYPES = ("ClusterIP", "ExternalName", "LoadBalancer", "NodePort")
_DAY = 86400
_PORT_NAME = re.compile(r"[-a-z0-9]+")


def check(item: Json) -> list[Cause]:
    """Return every fault of a Service, nothing when it is fine."""
    spec = item["spec"]
    headless, external_name = is_headless(item), spec["type"] == "ExternalName"
    causes = check_metadata(item["metadata"], label_name=True)
    ports = spec.get("ports", [])
    if not ports and not headless and not external_name:
        causes.append(required("spec.ports"))
    causes += _type_rules(spec, headless=headless)
    names: set[str] = set()
    for index, port in enumerate(ports):
        causes += _port(port, f"spec.ports[{index}]", names, named=len(ports) > 1)
    causes += check_labels(spec.get("selector", {}), "spec.selector")
    causes += _affinity(spec)
    causes += _duplicates(ports)
    causes += _outside(spec)
    if spec["type"] not in _TYPES:
        causes.append(unsupported("spec.type", spec["type"], _TYPES))
    distribution = spec.get("trafficDistribution")
    known = ("PreferClose", "PreferSameZone", "PreferSameNode")
    if distribution is not None and distribution not in known:
        causes.append(unsupported("spec.trafficDistribution", distribution, known))
    return causes


def _type_rules(spec: Json, *, headless: bool) -> list[Cause]:
    kind = spec["type"]
    if kind in EXTERNAL_TYPES and headless:
        return [invalid("spec.clusterIPs[0]", "None", f"may not be set to 'None' for {kind} services")]
    if kind != "ExternalName":
        return []
    causes = []
    if spec.get("clusterIPs") or spec.get("clusterIP"):
        given = spec.get("clusterIPs") or [spec["clusterIP"]]
        causes.append(invalid("spec.clusterIPs", given, "may not be set for ExternalName services"))
    name = spec.get("externalName", "").removesuffix(".")
    if not name:
        causes.append(required("spec.externalName"))
    else:
        causes += [invalid("spec.externalName", name, fault) for fault in dns_subdomain(name)]
    return causes


def _port(port: Json, field: str, names: set[str], *, named: bool) -> list[Cause]:
    causes: list[Cause] = []
    name, number, target = port.get("name", ""), port["port"], port["targetPort"]
    if name in names and name:
        causes.append(duplicate(f"{field}.name", name))
    elif name:
        causes += [invalid(f"{field}.name", name, fault) for fault in dns_label(name)]
    elif named:
        causes.append(required(f"{field}.name"))
    names.add(name)
    if not 1 <= number <= 65535:
        causes.append(invalid(f"{field}.port", number, PORT_RANGE))
    if port["protocol"] not in PROTOCOLS:
        causes.append(unsupported(f"{field}.protocol", port["protocol"], PROTOCOLS))
    if isinstance(target, str):
        causes += [invalid(f"{field}.targetPort", target, fault) for fault in port_name(target)]
    elif not 1 <= target <= 65535:
        causes.append(invalid(f"{field}.targetPort", target, PORT_RANGE))
    if port.get("appProtocol"):
        faults = qualified_name(port["appProtocol"])
        causes += [invalid(f"{field}.appProtocol", port["appProtocol"], fault) for fault in faults]
    return causes


def port_name(text: str) -> list[str]:
    """Return what is wrong with `text` as the name of a container port (RFC 6335 service name)."""
    faults = []
    if len(text) > 15:
        faults.append("must be no more than 15 characters")
    if not _PORT_NAME.fullmatch(text):
        faults.append("must contain only alpha-numeric characters (a-z, 0-9), and hyphens (-)")
    if not re.search("[a-z]", text):
        faults.append("must contain at least one letter (a-z)")
    if "--" in text:
        faults.append("must not contain consecutive hyphens")
    if text.startswith("-") or text.endswith("-"):
        faults.append("must not begin or end with a hyphen")
    return faults


def _affinity(spec: Json) -> list[Cause]:
    affinity = spec["sessionAffinity"]
    if affinity not in ("ClientIP", "None"):
        return [unsupported("spec.sessionAffinity", affinity, ("ClientIP", "None"))]
    if affinity == "ClientIP":
        seconds = spec["sessionAffinityConfig"]["clientIP"]["timeoutSeconds"]
        if not 0 < seconds <= _DAY:
            field = "spec.sessionAffinityConfig.clientIP.timeoutSeconds"
            return [invalid(field, seconds, f"must be greater than 0 and less than {_DAY}")]
    return []


def _duplicates(ports: list[Json]) -> list[Cause]:
    causes, seen = [], set()
    for index, port in enumerate(ports):
        key = (port["protocol"], port["port"])
        if key in seen:
            shown = {"Name": "", "Protocol": key[0], "AppProtocol": None, "Port": key[1]}
            causes.append(duplicate(f"spec.ports[{index}]", {**shown, "TargetPort": 0, "NodePort": 0}))
        seen.add(key)
    return causes


def _outside(spec: Json) -> list[Cause]:
    """Fields about clients from outside the cluster."""
    causes: list[Cause] = []
    for index, address in enumerate(spec.get("externalIPs", [])):
        field = f"spec.externalIPs[{index}]"
        if not is_address(address):
            causes.append(invalid(field, address, BAD_ADDRESS))
        elif fault := unroutable(address):
            causes.append(invalid(field, address, fault))
    for index, cidr in enumerate(spec.get("loadBalancerSourceRanges", [])):
        if not _is_cidr(cidr.strip()):
            field = f"spec.LoadBalancerSourceRanges[{index}]"
            causes.append(
                invalid(field, cidr, "must be a valid CIDR value, (e.g. 10.9.8.0/24 or 2001:db8::/64)")
            )
    external, internal = spec.get("externalTrafficPolicy"), spec.get("internalTrafficPolicy")
    if external is not None:
        if spec["type"] not in EXTERNAL_TYPES and not spec.get("externalIPs"):
            text = "may only be set for externally-accessible services"
            causes.append(invalid("spec.externalTrafficPolicy", external, text))
        elif external not in ("Cluster", "Local"):
            causes.append(unsupported("spec.externalTrafficPolicy", external, ("Cluster", "Local")))
    if internal is not None and internal not in ("Cluster", "Local"):
        causes.append(unsupported("spec.internalTrafficPolicy", internal, ("Cluster", "Local")))
    return causes


def _is_cidr(text: str) -> bool:
    try:
        ipaddress.ip_network(text, strict=False)
    except ValueError:
        return False
    return "/" in text
