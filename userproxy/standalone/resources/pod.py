"""Pods: shape, defaults and checks. Nothing runs them here: a Pod is the declaration of a server that runs already.

So, other than at a real API server, the status may be given with the Pod (phase, podIP), and a Pod that is declared
Running and has no readiness probe is Ready. Fields that matter to nobody here are kept as given.
"""

from __future__ import annotations

from userproxy.standalone.objects import Json
from userproxy.standalone.resources.ip import is_address
from userproxy.standalone.resources.metadata import check_metadata, dns_label, dns_subdomain, top_level
from userproxy.standalone.resources.service_rules import PORT_RANGE, PROTOCOLS, port_name
from userproxy.standalone.schema import (
    ANY,
    BOOL,
    INT32,
    INT64,
    STRING,
    TIME,
    Shape,
    always,
    listing,
    open_struct,
    pointer,
    said,
    struct,
)
from userproxy.standalone.statuses import Cause, duplicate, invalid, required, unsupported

_CONTAINER_PORT = struct(
    "ContainerPort",
    name=said(STRING, "Name that a Service's targetPort may use."),
    hostPort=INT32,
    containerPort=always(INT32),
    protocol=STRING,
    hostIP=STRING,
)


def _containers(name: str) -> Shape:
    container = open_struct(
        name,
        name=always(STRING),
        image=STRING,
        ports=listing(_CONTAINER_PORT, merge_key="containerPort", list_keys=("containerPort", "protocol")),
        readinessProbe=open_struct(
            "Probe",
        ),
        restartPolicy=STRING,
    )
    return listing(container, merge_key="name", list_keys=("name",))


POD_CONDITION = struct(
    "PodCondition",
    type=always(STRING),
    observedGeneration=INT64,
    status=always(STRING),
    lastProbeTime=always(TIME),
    lastTransitionTime=always(TIME),
    reason=STRING,
    message=STRING,
)

_IP = struct("PodIP", ip=STRING)

SHAPE = top_level(
    "Pod",
    "A server that runs already, declared with its address; its readiness probes are run.",
    spec=always(
        open_struct(
            "PodSpec",
            initContainers=_containers("Container"),
            containers=always(_containers("Container")),
            restartPolicy=STRING,
            terminationGracePeriodSeconds=pointer(INT64),
            nodeName=said(STRING, "Node of the Pod."),
            hostNetwork=BOOL,
            hostname=STRING,
            subdomain=STRING,
            readinessGates=listing(ANY),
        )
    ),
    status=always(
        open_struct(
            "PodStatus",
            phase=said(STRING, "Pending, Running, Succeeded, Failed or Unknown."),
            conditions=listing(POD_CONDITION, merge_key="type", list_keys=("type",)),
            message=STRING,
            reason=STRING,
            hostIP=STRING,
            hostIPs=listing(struct("HostIP", ip=STRING), merge_key="ip"),
            podIP=said(STRING, "Address of the Pod."),
            podIPs=listing(_IP, merge_key="ip", list_keys=("ip",)),
            startTime=TIME,
        )
    ),
)

_PHASES = ("Failed", "Pending", "Running", "Succeeded", "Unknown")
GRACE_SECONDS = 30
"""Default time between the deletion of a Pod and its end, in seconds."""


def fill_defaults(item: Json) -> None:
    """Fill in what the user left out; changes `item`."""
    spec, status = item["spec"], item["status"]
    for container in (spec["containers"] or []) + spec.get("initContainers", []):
        for port in container.get("ports", []):
            port.setdefault("protocol", "TCP")
        if probe := container.get("readinessProbe"):
            _fill_probe(probe)
    spec.setdefault("restartPolicy", "Always")
    spec.setdefault("terminationGracePeriodSeconds", GRACE_SECONDS)
    status.setdefault("phase", "Pending")
    if status.get("podIP") and not status.get("podIPs"):
        status["podIPs"] = [{"ip": status["podIP"]}]
    elif status.get("podIPs"):
        status["podIP"] = status["podIPs"][0].get("ip", "")
    conditions = status.setdefault("conditions", [])
    if status["phase"] == "Running" and not _has_probe(spec):
        declared = any(condition["type"] == "Ready" for condition in conditions)
        if not declared:
            conditions.append(ready_condition(item["metadata"].get("creationTimestamp")))
    if not conditions:
        del status["conditions"]


_PROBE = {"timeoutSeconds": 1, "periodSeconds": 10, "successThreshold": 1, "failureThreshold": 3}


def _fill_probe(probe: Json) -> None:
    """Fill in a probe (`pkg/apis/core/v1/defaults.go`, SetDefaults_Probe and SetDefaults_HTTPGetAction)."""
    for field, value in _PROBE.items():
        probe[field] = probe.get(field) or value
    if isinstance(request := probe.get("httpGet"), dict):
        request["path"] = request.get("path") or "/"
        request["scheme"] = request.get("scheme") or "HTTP"


def ready_condition(since: str | None) -> Json:
    """Return the condition of a Pod that is ready since an RFC 3339 time."""
    return {"type": "Ready", "status": "True", "lastProbeTime": None, "lastTransitionTime": since}


def is_ready(item: Json) -> bool:
    """Return whether the Ready condition is True."""
    conditions = item["status"].get("conditions", [])
    return any(c["type"] == "Ready" and c["status"] == "True" for c in conditions)


def _has_probe(spec: Json) -> bool:
    return any(container.get("readinessProbe") for container in spec["containers"] or [])


def check(item: Json) -> list[Cause]:
    """Return every fault of a Pod."""
    causes = check_metadata(item["metadata"], label_name=False)
    spec, status = item["spec"], item["status"]
    if not spec["containers"]:
        causes.append(required("spec.containers"))
    names: set[str] = set()
    for group in ("initContainers", "containers"):
        for index, container in enumerate(spec.get(group) or []):
            causes += _container(container, f"spec.{group}[{index}]", names)
    for field in ("hostname", "subdomain"):
        if spec.get(field):
            causes += [invalid(f"spec.{field}", spec[field], fault) for fault in dns_label(spec[field])]
    if spec.get("nodeName"):
        causes += [
            invalid("spec.nodeName", spec["nodeName"], fault) for fault in dns_subdomain(spec["nodeName"])
        ]
    if status["phase"] not in _PHASES:
        causes.append(unsupported("status.phase", status["phase"], _PHASES))
    for index, entry in enumerate(status.get("podIPs", [])):
        if not is_address(entry.get("ip", "")):
            text = "must be a valid IP address, (e.g. 10.9.8.7 or 2001:db8::ffff)"
            causes.append(invalid(f"status.podIPs[{index}]", entry.get("ip", ""), text))
    return causes


def _container(container: Json, field: str, names: set[str]) -> list[Cause]:
    causes: list[Cause] = []
    name = container["name"]
    if not name:
        causes.append(required(f"{field}.name"))
    elif name in names:
        causes.append(duplicate(f"{field}.name", name))
    else:
        causes += [invalid(f"{field}.name", name, fault) for fault in dns_label(name)]
    names.add(name)
    for index, port in enumerate(container.get("ports", [])):
        place = f"{field}.ports[{index}]"
        if port.get("name"):
            causes += [invalid(f"{place}.name", port["name"], fault) for fault in port_name(port["name"])]
        if not 1 <= port["containerPort"] <= 65535:
            causes.append(invalid(f"{place}.containerPort", port["containerPort"], PORT_RANGE))
        if port["protocol"] not in PROTOCOLS:
            causes.append(unsupported(f"{place}.protocol", port["protocol"], PROTOCOLS))
    return causes
