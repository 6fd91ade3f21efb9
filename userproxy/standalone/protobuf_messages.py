"""Field numbers of the API's protobuf messages: for each message its fields, as `number name:type`.

Owns the table; reading bytes by it is `protobuf`'s work. A type is `string` when none is given; `*` marks a Go pointer, whose
zero value counts as given; `[]` a repeated field. Source: `generated.proto` of k8s.io/api and k8s.io/apimachinery
(v0.32 to v0.34; numbers never change). Of Pods and Nodes the fields that a proxy's world knows are here; others are dropped
and named in a warning.
"""

from __future__ import annotations

import functools

import msgspec


class Field(msgspec.Struct, frozen=True):
    """One field. `type` is string, bytes, int, bool, time, microtime, raw, quantity, int-or-string, map, quantities or a
    message's name; the fields of an `inline` message belong to the outer one."""

    name: str
    type: str = "string"
    repeated: bool = False
    pointer: bool = False
    inline: bool = False


Message = dict[int, Field]

KINDS = {
    ("v1", "Namespace"): "Namespace",
    ("v1", "Node"): "Node",
    ("v1", "Pod"): "Pod",
    ("v1", "Service"): "Service",
    ("v1", "Endpoints"): "Endpoints",
    ("v1", "Event"): "Event",
    ("discovery.k8s.io/v1", "EndpointSlice"): "EndpointSlice",
    ("networking.k8s.io/v1", "ServiceCIDR"): "ServiceCIDR",
    ("coordination.k8s.io/v1", "Lease"): "Lease",
    ("authorization.k8s.io/v1", "SelfSubjectAccessReview"): "SelfSubjectAccessReview",
    ("authorization.k8s.io/v1", "SelfSubjectRulesReview"): "SelfSubjectRulesReview",
}
"""Message of each apiVersion and kind. DeleteOptions come with the apiVersion of what they delete."""

DELETE_OPTIONS = "DeleteOptions"

_TABLE = """
ObjectMeta: 1 name, 2 generateName, 3 namespace, 4 selfLink, 5 uid, 6 resourceVersion, 7 generation:int,
  8 creationTimestamp:time, 9 deletionTimestamp:time, 10 deletionGracePeriodSeconds:int*, 11 labels:map,
  12 annotations:map, 13 ownerReferences:[]OwnerReference, 14 finalizers:[]string, 17 managedFields:[]ManagedFieldsEntry
OwnerReference: 1 kind, 3 name, 4 uid, 5 apiVersion, 6 controller:bool*, 7 blockOwnerDeletion:bool*
ManagedFieldsEntry: 1 manager, 2 operation, 3 apiVersion, 4 time:time, 6 fieldsType, 7 fieldsV1:raw, 8 subresource
Condition: 1 type, 2 status, 3 observedGeneration:int, 4 lastTransitionTime:time, 5 reason, 6 message
ObjectReference: 1 kind, 2 namespace, 3 name, 4 uid, 5 apiVersion, 6 resourceVersion, 7 fieldPath
DeleteOptions: 1 gracePeriodSeconds:int*, 2 preconditions:Preconditions, 3 orphanDependents:bool*, 4 propagationPolicy*,
  5 dryRun:[]string
Preconditions: 1 uid*, 2 resourceVersion*

Namespace: 1 metadata:ObjectMeta, 2 spec:NamespaceSpec, 3 status:NamespaceStatus
NamespaceSpec: 1 finalizers:[]string
NamespaceStatus: 1 phase, 2 conditions:[]NamespaceCondition
NamespaceCondition: 1 type, 2 status, 4 lastTransitionTime:time, 5 reason, 6 message

Service: 1 metadata:ObjectMeta, 2 spec:ServiceSpec, 3 status:ServiceStatus
ServiceSpec: 1 ports:[]ServicePort, 2 selector:map, 3 clusterIP, 4 type, 5 externalIPs:[]string, 7 sessionAffinity,
  8 loadBalancerIP, 9 loadBalancerSourceRanges:[]string, 10 externalName, 11 externalTrafficPolicy,
  12 healthCheckNodePort:int, 13 publishNotReadyAddresses:bool, 14 sessionAffinityConfig:SessionAffinityConfig,
  17 ipFamilyPolicy*, 18 clusterIPs:[]string, 19 ipFamilies:[]string, 20 allocateLoadBalancerNodePorts:bool*,
  21 loadBalancerClass*, 22 internalTrafficPolicy*, 23 trafficDistribution*
ServicePort: 1 name, 2 protocol, 3 port:int, 4 targetPort:int-or-string, 5 nodePort:int, 6 appProtocol*
SessionAffinityConfig: 1 clientIP:ClientIPConfig
ClientIPConfig: 1 timeoutSeconds:int*
ServiceStatus: 1 loadBalancer:LoadBalancerStatus, 2 conditions:[]Condition
LoadBalancerStatus: 1 ingress:[]LoadBalancerIngress
LoadBalancerIngress: 1 ip, 2 hostname, 3 ipMode*, 4 ports:[]PortStatus
PortStatus: 1 port:int, 2 protocol, 3 error*

Endpoints: 1 metadata:ObjectMeta, 2 subsets:[]EndpointSubset
EndpointSubset: 1 addresses:[]EndpointAddress, 2 notReadyAddresses:[]EndpointAddress, 3 ports:[]OldEndpointPort
EndpointAddress: 1 ip, 2 targetRef:ObjectReference, 3 hostname, 4 nodeName*
OldEndpointPort: 1 name, 2 port:int, 3 protocol, 4 appProtocol*

EndpointSlice: 1 metadata:ObjectMeta, 2 endpoints:[]Endpoint, 3 ports:[]EndpointPort, 4 addressType
Endpoint: 1 addresses:[]string, 2 conditions:EndpointConditions, 3 hostname*, 4 targetRef:ObjectReference,
  5 deprecatedTopology:map, 6 nodeName*, 7 zone*, 8 hints:EndpointHints
EndpointConditions: 1 ready:bool*, 2 serving:bool*, 3 terminating:bool*
EndpointHints: 1 forZones:[]Named, 2 forNodes:[]Named
Named: 1 name
EndpointPort: 1 name*, 2 protocol*, 3 port:int*, 4 appProtocol*

Event: 1 metadata:ObjectMeta, 2 involvedObject:ObjectReference, 3 reason, 4 message, 5 source:EventSource,
  6 firstTimestamp:time, 7 lastTimestamp:time, 8 count:int, 9 type, 10 eventTime:microtime, 11 series:EventSeries,
  12 action, 13 related:ObjectReference, 14 reportingComponent, 15 reportingInstance
EventSource: 1 component, 2 host
EventSeries: 1 count:int, 2 lastObservedTime:microtime

Lease: 1 metadata:ObjectMeta, 2 spec:LeaseSpec
LeaseSpec: 1 holderIdentity*, 2 leaseDurationSeconds:int*, 3 acquireTime:microtime, 4 renewTime:microtime,
  5 leaseTransitions:int*, 6 strategy*, 7 preferredHolder*

ServiceCIDR: 1 metadata:ObjectMeta, 2 spec:ServiceCIDRSpec, 3 status:ServiceCIDRStatus
ServiceCIDRSpec: 1 cidrs:[]string
ServiceCIDRStatus: 1 conditions:[]Condition

Node: 1 metadata:ObjectMeta, 2 spec:NodeSpec, 3 status:NodeStatus
NodeSpec: 1 podCIDR, 2 externalID, 3 providerID, 4 unschedulable:bool, 5 taints:[]Taint, 7 podCIDRs:[]string
Taint: 1 key, 2 value, 3 effect, 4 timeAdded:time
NodeStatus: 1 capacity:quantities, 2 allocatable:quantities, 3 phase, 4 conditions:[]NodeCondition,
  5 addresses:[]NodeAddress, 6 daemonEndpoints:NodeDaemonEndpoints, 7 nodeInfo:NodeSystemInfo, 8 images:[]ContainerImage
NodeCondition: 1 type, 2 status, 3 lastHeartbeatTime:time, 4 lastTransitionTime:time, 5 reason, 6 message
NodeAddress: 1 type, 2 address
NodeDaemonEndpoints: 1 kubeletEndpoint:DaemonEndpoint
DaemonEndpoint: 1 Port:int
NodeSystemInfo: 1 machineID, 2 systemUUID, 3 bootID, 4 kernelVersion, 5 osImage, 6 containerRuntimeVersion,
  7 kubeletVersion, 8 kubeProxyVersion, 9 operatingSystem, 10 architecture
ContainerImage: 1 names:[]string, 2 sizeBytes:int

Pod: 1 metadata:ObjectMeta, 2 spec:PodSpec, 3 status:PodStatus
PodSpec: 2 containers:[]Container, 3 restartPolicy, 4 terminationGracePeriodSeconds:int*, 5 activeDeadlineSeconds:int*,
  6 dnsPolicy, 7 nodeSelector:map, 8 serviceAccountName, 9 serviceAccount, 10 nodeName, 11 hostNetwork:bool,
  12 hostPID:bool, 13 hostIPC:bool, 14 securityContext:Empty, 15 imagePullSecrets:[]Named, 16 hostname, 17 subdomain,
  19 schedulerName, 20 initContainers:[]Container, 21 automountServiceAccountToken:bool*, 22 tolerations:[]Toleration,
  24 priorityClassName, 25 priority:int*, 28 readinessGates:[]PodReadinessGate, 30 enableServiceLinks:bool*,
  31 preemptionPolicy*
Empty:
Toleration: 1 key, 2 operator, 3 value, 4 effect, 5 tolerationSeconds:int*
PodReadinessGate: 1 conditionType
Container: 1 name, 2 image, 3 command:[]string, 4 args:[]string, 5 workingDir, 6 ports:[]ContainerPort, 7 env:[]EnvVar,
  8 resources:ResourceRequirements, 10 livenessProbe:Probe, 11 readinessProbe:Probe, 13 terminationMessagePath,
  14 imagePullPolicy, 16 stdin:bool, 17 stdinOnce:bool, 18 tty:bool, 20 terminationMessagePolicy, 22 startupProbe:Probe,
  24 restartPolicy*
ContainerPort: 1 name, 2 hostPort:int, 3 containerPort:int, 4 protocol, 5 hostIP
EnvVar: 1 name, 2 value
ResourceRequirements: 1 limits:quantities, 2 requests:quantities
Probe: 1 handler:ProbeHandler!, 2 initialDelaySeconds:int, 3 timeoutSeconds:int, 4 periodSeconds:int,
  5 successThreshold:int, 6 failureThreshold:int, 7 terminationGracePeriodSeconds:int*
ProbeHandler: 1 exec:ExecAction, 2 httpGet:HTTPGetAction, 3 tcpSocket:TCPSocketAction, 4 grpc:GRPCAction
ExecAction: 1 command:[]string
HTTPGetAction: 1 path, 2 port:int-or-string, 3 host, 4 scheme, 5 httpHeaders:[]HTTPHeader
HTTPHeader: 1 name, 2 value
TCPSocketAction: 1 port:int-or-string, 2 host
GRPCAction: 1 port:int, 2 service*
PodStatus: 1 phase, 2 conditions:[]PodCondition, 3 message, 4 reason, 5 hostIP, 6 podIP, 7 startTime:time, 9 qosClass,
  11 nominatedNodeName, 12 podIPs:[]Address, 16 hostIPs:[]Address, 17 observedGeneration:int
PodCondition: 1 type, 2 status, 3 lastProbeTime:time, 4 lastTransitionTime:time, 5 reason, 6 message,
  7 observedGeneration:int
Address: 1 ip

SelfSubjectAccessReview: 1 metadata:ObjectMeta, 2 spec:AccessReviewSpec, 3 status:Empty
AccessReviewSpec: 1 resourceAttributes:ResourceAttributes, 2 nonResourceAttributes:NonResourceAttributes
ResourceAttributes: 1 namespace, 2 verb, 3 group, 4 version, 5 resource, 6 subresource, 7 name
NonResourceAttributes: 1 path, 2 verb
SelfSubjectRulesReview: 1 metadata:ObjectMeta, 2 spec:RulesReviewSpec, 3 status:Empty
RulesReviewSpec: 1 namespace
"""


@functools.cache
def messages() -> dict[str, Message]:
    """Return every message by its name."""
    table: dict[str, Message] = {}
    for entry in _TABLE.replace("\n  ", " ").splitlines():
        name, colon, fields = entry.partition(":")
        if colon:
            table[name] = dict(_field(field) for field in fields.split(",") if field.strip())
    return table


def _field(text: str) -> tuple[int, Field]:
    number, rest = text.split()
    pointer, inline = rest.endswith("*"), rest.endswith("!")
    name, _colon, kind = rest.rstrip("*!").partition(":")
    repeated = kind.startswith("[]")
    return int(number), Field(name, kind.removeprefix("[]") or "string", repeated, pointer, inline)
