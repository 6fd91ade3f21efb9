"""What the controllers read of a Service: whether they handle it, its families, whether it is headless.

Pure. Source: `k8s.io/endpointslice/utils.go` (getAddressTypesForService), `staging/.../endpointslice_controller.go`.
"""

from __future__ import annotations

from userproxy.standalone.controllers.pods import IPV4, IPV6, family_of
from userproxy.standalone.objects import Json


def selector_of(service: Json | None) -> dict[str, str] | None:
    """Return the selector of a Service whose endpoints come from Pods, None when they are made by hand or nowhere."""
    if service is None or service["spec"].get("type") == "ExternalName":
        return None
    selector: dict[str, str] | None = service["spec"].get("selector")
    return selector


def has_address(service: Json) -> bool:
    """Return whether the Service has a cluster IP, so is not headless."""
    return service["spec"].get("clusterIP", "") not in ("", "None")


def families(service: Json) -> tuple[str, ...]:
    """Return the families of the slices of a Service: its own, else that of its address, else both."""
    given = service["spec"].get("ipFamilies")
    if given:
        return tuple(given)
    if has_address(service):
        return (family_of(service["spec"]["clusterIP"]),)
    return (IPV4, IPV6)


def publishes_unready(service: Json) -> bool:
    """Return whether Pods count as ready whatever they say."""
    return bool(service["spec"].get("publishNotReadyAddresses"))
