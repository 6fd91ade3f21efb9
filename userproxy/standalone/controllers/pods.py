"""What a Service sees of a Pod: whether it counts, its addresses, its readiness, its ports.

Pure. Source: `pkg/controller/util/endpoint/controller_utils.go`, `k8s.io/endpointslice/utils.go` (FindPort).
"""

from __future__ import annotations

from collections.abc import Iterator

from userproxy.standalone.objects import Json, labels_of
from userproxy.standalone.resources.ip import canonical
from userproxy.standalone.resources.pod import is_ready

IPV4, IPV6 = "IPv4", "IPv6"


def selects(selector: dict[str, str], pod: Json) -> bool:
    """Return whether the labels of a Pod match; the empty selector matches every Pod."""
    labels = labels_of(pod)
    return all(labels.get(key) == value for key, value in selector.items())


def is_terminating(pod: Json) -> bool:
    """Return whether the Pod has been deleted and lives out its grace."""
    return bool(pod["metadata"].get("deletionTimestamp"))


def is_terminal(pod: Json) -> bool:
    """Return whether the Pod has ended for good."""
    return pod["status"].get("phase") in ("Succeeded", "Failed")


def counts(pod: Json, *, terminating: bool) -> bool:
    """Return whether the Pod may stand behind a Service; `terminating` says whether deleted ones may."""
    if is_terminal(pod) or not addresses(pod):
        return False
    return terminating or not is_terminating(pod)


def addresses(pod: Json) -> tuple[str, ...]:
    """Return all addresses of the Pod in canonical form, those that are none left out."""
    status = pod["status"]
    given = [entry.get("ip", "") for entry in status.get("podIPs", [])] or [status.get("podIP", "")]
    return tuple([address for text in given if (address := canonical(text))])


def addresses_of(pod: Json, family: str) -> list[str]:
    """Return the addresses of one family."""
    return [address for address in addresses(pod) if family_of(address) == family]


def family_of(address: str) -> str:
    """Return the family of an address."""
    return IPV6 if ":" in address else IPV4


def ready_since(pod: Json) -> str:
    """Return the time of the last change of readiness (RFC 3339), empty when there was none."""
    for condition in pod["status"].get("conditions", []):
        if condition["type"] == "Ready":
            return condition.get("lastTransitionTime") or ""
    return ""


def facts(pod: Json) -> tuple[object, ...]:
    """Return what endpoints depend on; Pods with equal facts give equal endpoints."""
    metadata = pod["metadata"]
    return (
        metadata.get("uid"),
        metadata.get("labels"),
        is_terminating(pod),
        is_terminal(pod),
        is_ready(pod),
        pod["status"].get("podIP"),
        pod["status"].get("podIPs"),
        pod["spec"],
    )


def port_number(pod: Json, service_port: Json) -> int | None:
    """Return the number of a Service port at this Pod, None when the Pod has no port of that name."""
    target = service_port.get("targetPort", service_port["port"])
    if isinstance(target, int):
        return target or int(service_port["port"])
    protocol = service_port.get("protocol", "TCP")
    for container in _containers(pod):
        for port in container.get("ports", []):
            if port.get("name") == target and port.get("protocol", "TCP") == protocol:
                return int(port["containerPort"])
    return None


def _containers(pod: Json) -> Iterator[Json]:
    yield from pod["spec"]["containers"] or []
    for container in pod["spec"].get("initContainers", []):
        if container.get("restartPolicy") == "Always":
            yield container


def hostname(pod: Json, service: Json) -> str:
    """Return the host name that the Pod has within the Service's domain, empty for none."""
    spec = pod["spec"]
    if spec.get("hostname") and spec.get("subdomain") == service["metadata"]["name"]:
        return str(spec["hostname"])
    return ""


def reference(pod: Json) -> Json:
    """Return the reference that endpoints carry to their Pod."""
    metadata = pod["metadata"]
    return {
        "kind": "Pod",
        "namespace": metadata["namespace"],
        "name": metadata["name"],
        "uid": metadata["uid"],
    }
