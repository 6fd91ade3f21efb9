"""Services: their shape and the defaults that a server fills in before anything is checked.

Addresses and node ports are allotted in `service_addresses`, faults found in `service_rules`. Source of the defaults:
`pkg/apis/core/v1/defaults.go` (SetDefaults_Service).
"""

from __future__ import annotations

from userproxy.standalone.objects import Json
from userproxy.standalone.resources.metadata import CONDITION, top_level
from userproxy.standalone.schema import (
    BOOL,
    INT32,
    INT_OR_STRING,
    STRING,
    always,
    atomic,
    listing,
    mapping,
    pointer,
    said,
    strings,
    struct,
)

_PORT = struct(
    "ServicePort",
    name=said(STRING, "Name; required with more than one port."),
    protocol=said(STRING, "TCP (default), UDP or SCTP."),
    appProtocol=pointer(STRING),
    port=always(said(INT32, "Port that clients connect to.")),
    targetPort=said(INT_OR_STRING, "Port of the Pods, or the name of one; `port` when absent."),
    nodePort=said(INT32, "Port on every node, for NodePort and LoadBalancer; allotted when absent."),
)

_AFFINITY = struct("SessionAffinityConfig", clientIP=struct("ClientIPConfig", timeoutSeconds=pointer(INT32)))

_SPEC = struct(
    "ServiceSpec",
    ports=said(listing(_PORT, merge_key="port", list_keys=("port", "protocol")), "Ports of this Service."),
    selector=said(
        atomic(mapping()), "Labels of the Pods behind this Service; without it, endpoints are made by hand."
    ),
    clusterIP=said(STRING, 'Address of this Service; allotted when absent, "None" for a headless one.'),
    clusterIPs=strings(),
    type=said(STRING, "ClusterIP (default), NodePort, LoadBalancer or ExternalName."),
    externalIPs=strings(),
    sessionAffinity=said(STRING, "None (default) or ClientIP."),
    loadBalancerIP=STRING,
    loadBalancerSourceRanges=strings(),
    externalName=STRING,
    externalTrafficPolicy=STRING,
    healthCheckNodePort=INT32,
    publishNotReadyAddresses=BOOL,
    sessionAffinityConfig=_AFFINITY,
    ipFamilies=strings(),
    ipFamilyPolicy=pointer(STRING),
    allocateLoadBalancerNodePorts=pointer(BOOL),
    loadBalancerClass=pointer(STRING),
    internalTrafficPolicy=pointer(STRING),
    trafficDistribution=pointer(STRING),
)

_INGRESS = struct(
    "LoadBalancerIngress",
    ip=STRING,
    hostname=STRING,
    ipMode=pointer(STRING),
    ports=listing(struct("PortStatus", port=always(INT32), protocol=always(STRING), error=pointer(STRING))),
)

SHAPE = top_level(
    "Service",
    "A stable address for the Pods that a selector matches.",
    spec=always(said(_SPEC, "What the Service shall be.")),
    status=always(
        struct(
            "ServiceStatus",
            loadBalancer=always(struct("LoadBalancerStatus", ingress=listing(_INGRESS))),
            conditions=listing(CONDITION, merge_key="type", list_keys=("type",)),
        )
    ),
)

AFFINITY_SECONDS = 10800
"""How long a client stays with its endpoint when ClientIP affinity names no time, in seconds."""

EXTERNAL_TYPES = ("NodePort", "LoadBalancer")
"""Types that are reachable from outside through node ports."""


def fill_defaults(item: Json) -> None:
    """Fill in what the user left out; changes `item`, whose types are already checked."""
    spec = item["spec"]
    spec.setdefault("type", "ClusterIP")
    spec.setdefault("sessionAffinity", "None")
    if spec["sessionAffinity"] == "None":
        spec.pop("sessionAffinityConfig", None)
    elif spec["sessionAffinity"] == "ClientIP":
        client = spec.setdefault("sessionAffinityConfig", {}).setdefault("clientIP", {})
        client.setdefault("timeoutSeconds", AFFINITY_SECONDS)
    for port in spec.get("ports", []):
        port.setdefault("protocol", "TCP")
        if port.get("targetPort", 0) in (0, ""):
            port["targetPort"] = port["port"]
    if spec["type"] in EXTERNAL_TYPES:
        spec.setdefault("externalTrafficPolicy", "Cluster")
    if spec["type"] == "LoadBalancer":
        spec.setdefault("allocateLoadBalancerNodePorts", True)
    if spec["type"] in (*EXTERNAL_TYPES, "ClusterIP"):
        spec.setdefault("internalTrafficPolicy", "Cluster")
    for ingress in item["status"]["loadBalancer"].get("ingress", []):
        if ingress.get("ip"):
            ingress.setdefault("ipMode", "VIP")


def is_headless(item: Json) -> bool:
    """Return whether the Service has no address of its own by wish."""
    return bool(item["spec"].get("clusterIP") == "None")
