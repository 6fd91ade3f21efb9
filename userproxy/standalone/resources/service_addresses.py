"""What a server allots to Services: IP families, cluster IPs, node ports.

Owns the choice and the checks of what was asked for; who holds which address is asked of the `Allotments` given in, so
nothing is reserved before the write is final. Source: `pkg/registry/core/service/storage/alloc.go`.
"""

from __future__ import annotations

from typing import Protocol

from userproxy.standalone.objects import Json
from userproxy.standalone.resources.ip import is_address
from userproxy.standalone.resources.service import EXTERNAL_TYPES
from userproxy.standalone.statuses import Cause, invalid

BAD_ADDRESS = "must be a valid IP address, (e.g. 10.9.8.7 or 2001:db8::ffff)"
FIRST_NODE_PORT, LAST_NODE_PORT = 30000, 32767
_FAMILY_FIELDS = ("clusterIP", "clusterIPs", "ipFamilies", "ipFamilyPolicy")


class Allotments(Protocol):
    """Who holds which address and node port now."""

    @property
    def families(self) -> tuple[str, ...]:
        """Families with a service range, `IPv4` and `IPv6`, the primary one first."""

    def in_range(self, address: str) -> bool:
        """Return whether an address may be given to a Service."""

    def holder_of(self, address: str) -> str:
        """Return the key of the Service that has an address, empty when it is free."""

    def free_address(self, family: str) -> str:
        """Return a free address, empty when there is none left."""

    def node_port_holder(self, port: int) -> str:
        """Return the key of the Service that has a node port, empty when it is free."""

    def free_node_port(self, taken: set[int]) -> int:
        """Return a free node port that is not in `taken`, 0 when there is none left."""


def allot(item: Json, old: Json | None, key: str, allotments: Allotments) -> list[Cause]:
    """Fill in families, cluster IPs and node ports; keep those of `old`. Changes `item`.

    Returns faults; a bad clusterIP is told alone, before any other fault of the object, as a real server does.
    """
    spec = item["spec"]
    if old is not None:
        _keep_old(spec, old["spec"])
        if causes := _changed(spec, old["spec"]):
            return causes
    if spec["type"] == "ExternalName":
        if old is not None:  # on create the rules refuse them
            for field in _FAMILY_FIELDS:
                spec.pop(field, None)
    else:
        causes = _families(spec, allotments) or _addresses(spec, key, allotments)
        if causes:
            return causes
    return _node_ports(spec, old, key, allotments)


def _keep_old(spec: Json, old: Json) -> None:
    if "ExternalName" not in (spec["type"], old["type"]):
        if not spec.get("clusterIP") and not spec.get("clusterIPs"):
            for field in ("clusterIP", "clusterIPs"):
                if field in old:
                    spec[field] = old[field]
        if spec.get("ipFamilyPolicy") is None and not spec.get("ipFamilies"):
            for field in ("ipFamilies", "ipFamilyPolicy"):
                if field in old:
                    spec[field] = old[field]
    first, given = spec.get("clusterIP"), spec.get("clusterIPs")
    if first and first != old.get("clusterIP") and given == old.get("clusterIPs"):
        spec["clusterIPs"] = [first]  # a patch that knows only the single field
    if spec.get("ipFamilyPolicy") == "SingleStack" and old.get("ipFamilyPolicy") != "SingleStack":
        for field in ("clusterIPs", "ipFamilies"):
            if field in spec and spec[field] == old.get(field):
                spec[field] = spec[field][:1]


def _changed(spec: Json, old: Json) -> list[Cause]:
    """A cluster IP stays for the life of the Service, unless its type goes to or from ExternalName."""
    if "ExternalName" in (spec["type"], old["type"]):
        return []
    given, former = spec.get("clusterIPs") or [spec.get("clusterIP")], old.get("clusterIPs", [])
    return [
        invalid(f"spec.clusterIPs[{index}]", given, "may not change once set")
        for index, address in enumerate(former[: len(given)])
        if given[index] != address
    ][:1]


def _families(spec: Json, allotments: Allotments) -> list[Cause]:
    """Settle ipFamilyPolicy and ipFamilies."""
    families, policy = spec.get("ipFamilies", []), spec.get("ipFamilyPolicy")
    ours = allotments.families
    headless = spec.get("clusterIP") == "None"
    given = (
        [] if headless else spec.get("clusterIPs") or ([spec["clusterIP"]] if spec.get("clusterIP") else [])
    )
    for index, address in enumerate(given):
        if not is_address(address):
            return [invalid(f"spec.clusterIPs[{index}]", address, BAD_ADDRESS)]
    if not spec.get("clusterIP") and spec.get("clusterIPs"):
        return [invalid("spec.clusterIPs", given, "must be empty when `clusterIP` is not specified")]
    if given and spec["clusterIP"] != given[0]:
        return [invalid("spec.clusterIPs[0]", given[0], "first value must match `clusterIP`")]
    if not families:
        families = [family_name(address) for address in given]
    if headless and not spec.get("selector") and policy is None and not spec.get("ipFamilies"):
        # endpoints of a headless Service without selector are made by hand, of any family
        spec["ipFamilies"] = [ours[0], "IPv6" if ours[0] == "IPv4" else "IPv4"]
        spec["ipFamilyPolicy"] = "RequireDualStack"
        return []
    causes = _family_faults(families, policy, given, ours, free=headless and not spec.get("selector"))
    if causes:
        return causes
    spec["ipFamilyPolicy"] = policy or ("RequireDualStack" if len(given) == 2 else "SingleStack")
    wanted = list(families) or [ours[0]]
    if spec["ipFamilyPolicy"] != "SingleStack":
        wanted += [family for family in ours if family not in wanted]
    spec["ipFamilies"] = wanted
    return []


def _family_faults(
    families: list[str], policy: str | None, given: list[str], ours: tuple[str, ...], *, free: bool
) -> list[Cause]:
    if policy not in (None, "SingleStack", "PreferDualStack", "RequireDualStack"):
        from_set = ", ".join(f'"{name}"' for name in ("PreferDualStack", "RequireDualStack", "SingleStack"))
        text = f'Unsupported value: "{policy}": supported values: {from_set}'
        return [Cause("FieldValueNotSupported", text, "spec.ipFamilyPolicy")]
    for index, family in enumerate(families):
        if family not in ours and not free:
            return [invalid(f"spec.ipFamilies[{index}]", family, "not configured on this cluster")]
    if policy == "RequireDualStack" and len(ours) < 2 and not free:
        text = "this cluster is not configured for dual-stack services"
        return [invalid("spec.ipFamilyPolicy", policy, text)]
    if len(families) > 1 and policy in (None, "SingleStack"):
        text = "must be 'RequireDualStack' or 'PreferDualStack' when multiple IP families are specified"
        return [invalid("spec.ipFamilyPolicy", "SingleStack", text)]
    mismatched = []
    for index, (address, family) in enumerate(zip(given, families, strict=False)):
        if family_name(address) != family:
            text = f"expected an {family} value as indicated by `ipFamilies[{index}]`"
            mismatched.append(invalid(f"spec.clusterIPs[{index}]", address, text))
    return mismatched


def _addresses(spec: Json, key: str, allotments: Allotments) -> list[Cause]:
    """Check the cluster IPs asked for and add those missing, one for each family."""
    if spec.get("clusterIP") == "None":
        spec["clusterIPs"] = ["None"]
        return []
    asked = spec.get("clusterIPs") or ([spec["clusterIP"]] if spec.get("clusterIP") else [])
    for address in asked:
        why = ""
        if allotments.holder_of(address) == key:
            continue
        if not allotments.in_range(address):
            why = "the provided network does not match the current range"
        elif allotments.holder_of(address):
            why = "provided IP is already allocated"
        if why:
            return [invalid("spec.clusterIPs", asked, f"failed to allocate IP {address}: {why}")]
    result = list(asked)
    for family in spec["ipFamilies"][len(asked) :]:
        address = allotments.free_address(family)
        if not address:
            return [invalid("spec.clusterIPs", asked or [""], "failed to allocate IP: range is full")]
        result.append(address)
    spec["clusterIP"], spec["clusterIPs"] = result[0], result
    return []


def _node_ports(spec: Json, old: Json | None, key: str, allotments: Allotments) -> list[Cause]:
    wanted = spec["type"] == "NodePort" or (
        spec["type"] == "LoadBalancer" and spec.get("allocateLoadBalancerNodePorts", True)
    )
    ports = spec.get("ports", [])
    if spec["type"] not in EXTERNAL_TYPES:
        if old is not None and old["spec"]["type"] in EXTERNAL_TYPES:
            _drop_external(spec)
        return []
    former = {
        (p["port"], p["protocol"]): p.get("nodePort") for p in (old["spec"].get("ports", []) if old else [])
    }
    for port in ports:
        kept = former.get((port["port"], port["protocol"]))
        if wanted and not port.get("nodePort") and kept:
            port["nodePort"] = kept
    taken: set[int] = set()
    for index, port in enumerate(ports):
        number = port.get("nodePort")
        if not number:
            continue
        field = f"spec.ports[{index}].nodePort"
        if not FIRST_NODE_PORT <= number <= LAST_NODE_PORT:
            text = f"provided port is not in the valid range. The range of valid ports is {FIRST_NODE_PORT}-{LAST_NODE_PORT}"
            return [invalid(field, number, text)]
        if allotments.node_port_holder(number) not in ("", key):
            return [invalid(field, number, "provided port is already allocated")]
        taken.add(number)
    for index, port in enumerate(ports):
        if wanted and not port.get("nodePort"):
            number = allotments.free_node_port(taken)
            if not number:
                return [
                    invalid(
                        f"spec.ports[{index}].nodePort", 0, "failed to allocate a nodePort: range is full"
                    )
                ]
            port["nodePort"] = number
            taken.add(number)
    return _health_check_port(spec, key, taken, allotments)


def _health_check_port(spec: Json, key: str, taken: set[int], allotments: Allotments) -> list[Cause]:
    if spec["type"] != "LoadBalancer" or spec.get("externalTrafficPolicy") != "Local":
        spec.pop("healthCheckNodePort", None)
        return []
    asked = spec.get("healthCheckNodePort", 0)
    if asked and (asked in taken or allotments.node_port_holder(asked) not in ("", key)):
        text = "failed to allocate requested HealthCheck NodePort: provided port is already allocated"
        return [invalid("spec.healthCheckNodePort", asked, text)]
    spec["healthCheckNodePort"] = asked or allotments.free_node_port(taken)
    return []


def _drop_external(spec: Json) -> None:
    for port in spec.get("ports", []):
        port.pop("nodePort", None)
    for field in ("externalTrafficPolicy", "healthCheckNodePort", "allocateLoadBalancerNodePorts"):
        spec.pop(field, None)


def family_name(address: str) -> str:
    """Return `IPv4` or `IPv6` for a valid address."""
    return "IPv6" if ":" in address else "IPv4"
