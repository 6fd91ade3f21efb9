"""The shapes of what the API server sends: every Kubernetes JSON field name that userproxy knows stands here.

Owns the msgspec structs for objects, lists, watch events and Status, and their parsing. Fields that are not named are
skipped unread. Gives them no meaning: defaults, filters and rules are those of `kube.decode`.
"""

from __future__ import annotations

from typing import Annotated, Generic, TypeVar

import msgspec

from userproxy.errors import DecodeError

_UNREADABLE = (msgspec.MsgspecError, UnicodeDecodeError, RecursionError)

INITIAL_EVENTS_END = "k8s.io/initial-events-end"
T = TypeVar("T")

Int = Annotated[int, msgspec.Meta(ge=-(2**31), lt=2**31)]
"""Kubernetes' int32. The bound keeps numbers of a million digits away from arithmetic and messages."""


class ObjectName(msgspec.Struct, frozen=True, gc=False):
    """What every object's metadata has; all three are empty when absent."""

    name: str = ""
    namespace: str = ""
    version: str = msgspec.field(name="resourceVersion", default="")


class NamedObject(msgspec.Struct, frozen=True, gc=False):
    """An object of which only the identity matters."""

    metadata: ObjectName = ObjectName()


class ServiceMetadata(ObjectName, frozen=True, gc=False):
    """Metadata of a Service."""

    labels: dict[str, str] | None = None
    annotations: dict[str, str] | None = None


class ServicePortWire(msgspec.Struct, frozen=True, gc=False):
    """One entry of spec.ports."""

    port: Int
    name: str | None = None
    protocol: str | None = None
    node_port: Int | None = msgspec.field(name="nodePort", default=None)


class ClientIP(msgspec.Struct, frozen=True, gc=False):
    """Settings of session affinity by client address."""

    seconds: Int | None = msgspec.field(name="timeoutSeconds", default=None)


class AffinityConfig(msgspec.Struct, frozen=True, gc=False):
    """spec.sessionAffinityConfig."""

    client_ip: ClientIP | None = msgspec.field(name="clientIP", default=None)


class ServiceSpec(msgspec.Struct, frozen=True, gc=False):
    """The part of spec that a proxy reads."""

    type: str | None = None
    cluster_ip: str | None = msgspec.field(name="clusterIP", default=None)
    cluster_ips: list[str] | None = msgspec.field(name="clusterIPs", default=None)
    families: list[str] | None = msgspec.field(name="ipFamilies", default=None)
    ports: list[ServicePortWire] | None = None
    external_ips: list[str] | None = msgspec.field(name="externalIPs", default=None)
    source_ranges: list[str] | None = msgspec.field(name="loadBalancerSourceRanges", default=None)
    internal_policy: str | None = msgspec.field(name="internalTrafficPolicy", default=None)
    external_policy: str | None = msgspec.field(name="externalTrafficPolicy", default=None)
    health_check_node_port: Int | None = msgspec.field(name="healthCheckNodePort", default=None)
    affinity: str | None = msgspec.field(name="sessionAffinity", default=None)
    affinity_config: AffinityConfig | None = msgspec.field(name="sessionAffinityConfig", default=None)


class Ingress(msgspec.Struct, frozen=True, gc=False):
    """One address of a load balancer."""

    ip: str | None = None
    ip_mode: str | None = msgspec.field(name="ipMode", default=None)


class LoadBalancerStatus(msgspec.Struct, frozen=True, gc=False):
    """status.loadBalancer."""

    ingress: list[Ingress] | None = None


class ServiceStatus(msgspec.Struct, frozen=True, gc=False):
    """The part of status that a proxy reads."""

    load_balancer: LoadBalancerStatus | None = msgspec.field(name="loadBalancer", default=None)


class ServiceWire(msgspec.Struct, frozen=True, gc=False):
    """A Service."""

    metadata: ServiceMetadata
    spec: ServiceSpec = ServiceSpec()
    status: ServiceStatus = ServiceStatus()


class SliceLabels(msgspec.Struct, frozen=True, gc=False):
    """The two labels of an EndpointSlice that decide anything; of `headless` only the presence counts."""

    service: str | None = msgspec.field(name="kubernetes.io/service-name", default=None)
    headless: str | None = msgspec.field(name="service.kubernetes.io/headless", default=None)


class SliceMetadata(ObjectName, frozen=True, gc=False):
    """Metadata of an EndpointSlice."""

    labels: SliceLabels | None = None


class Conditions(msgspec.Struct, frozen=True, gc=False):
    """Conditions of an endpoint; None means that the server said nothing."""

    ready: bool | None = None
    serving: bool | None = None
    terminating: bool | None = None


class EndpointWire(msgspec.Struct, frozen=True, gc=False):
    """One endpoint of an EndpointSlice."""

    addresses: list[str] | None = None
    conditions: Conditions | None = None
    node: str | None = msgspec.field(name="nodeName", default=None)
    hints: Hints | None = None


class HintedZone(msgspec.Struct, frozen=True, gc=False):
    """A zone (or a node) that an endpoint is hinted for."""

    name: str = ""


class Hints(msgspec.Struct, frozen=True, gc=False):
    """Where an endpoint shall be used."""

    zones: list[HintedZone] | None = msgspec.field(name="forZones", default=None)
    nodes: list[HintedZone] | None = msgspec.field(name="forNodes", default=None)


class SlicePortWire(msgspec.Struct, frozen=True, gc=False):
    """One entry of an EndpointSlice's port list."""

    name: str | None = None
    protocol: str | None = None
    port: Int | None = None


class SliceWire(msgspec.Struct, frozen=True, gc=False):
    """An EndpointSlice."""

    metadata: SliceMetadata
    address_type: str = msgspec.field(name="addressType", default="")
    endpoints: list[EndpointWire] | None = None
    ports: list[SlicePortWire] | None = None


class NodeLabels(msgspec.Struct, frozen=True, gc=False):
    """The one label of a Node that decides anything."""

    zone: str | None = msgspec.field(name="topology.kubernetes.io/zone", default=None)


class NodeMetadata(ObjectName, frozen=True, gc=False):
    """Metadata of a Node."""

    labels: NodeLabels | None = None
    deleted_at: str | None = msgspec.field(name="deletionTimestamp", default=None)


class Taint(msgspec.Struct, frozen=True, gc=False):
    """One taint of a Node."""

    key: str = ""


class NodeSpec(msgspec.Struct, frozen=True, gc=False):
    """The part of a Node's spec that is read."""

    taints: list[Taint] | None = None


class NodeAddress(msgspec.Struct, frozen=True, gc=False):
    """One address of a Node's status."""

    type: str = ""
    address: str = ""


class NodeStatus(msgspec.Struct, frozen=True, gc=False):
    """The part of a Node's status that is read."""

    addresses: list[NodeAddress] | None = None


class NodeWire(msgspec.Struct, frozen=True, gc=False):
    """A Node."""

    metadata: NodeMetadata
    spec: NodeSpec = NodeSpec()
    status: NodeStatus = NodeStatus()


class StatusDetails(msgspec.Struct, frozen=True, gc=False):
    """Details of a Status."""

    retry_after: Int | None = msgspec.field(name="retryAfterSeconds", default=None)


class Status(msgspec.Struct, frozen=True, gc=False):
    """What the server answers instead of an object when something failed."""

    code: Int = 0
    reason: str = ""
    message: str = ""
    details: StatusDetails | None = None


class _ListMetadata(msgspec.Struct, frozen=True, gc=False):
    version: str = msgspec.field(name="resourceVersion", default="")
    next_page: str = msgspec.field(name="continue", default="")


class _ListWire(msgspec.Struct, frozen=True, gc=False):
    metadata: _ListMetadata
    items: list[msgspec.Raw] | None


class ListPage(msgspec.Struct, frozen=True, gc=False):
    """One page of a list: the list's version, the token for the next page (empty at the end), and the objects unread."""

    version: str
    next_page: str
    items: list[msgspec.Raw]


class _BookmarkMetadata(msgspec.Struct, frozen=True, gc=False):
    version: str = msgspec.field(name="resourceVersion", default="")
    annotations: dict[str, str] | None = None


class _BookmarkWire(msgspec.Struct, frozen=True, gc=False):
    metadata: _BookmarkMetadata


class Bookmark(msgspec.Struct, frozen=True, gc=False):
    """A version up to which everything has been sent; `initial_end` marks the end of a streaming list."""

    version: str
    initial_end: bool


class WatchEvent(msgspec.Struct, frozen=True, gc=False):
    """One line of a watch: ADDED, MODIFIED, DELETED, BOOKMARK or ERROR, and the object unread."""

    type: str
    object: msgspec.Raw


class TypedEvent(msgspec.Struct, Generic[T], frozen=True, gc=False):
    """A watch event with an object of a known shape."""

    type: str
    object: T


class Shape(Generic[T]):
    """Parses one kind of JSON document; `kind` names it in errors."""

    def __init__(self, kind: str, shape: type[T]) -> None:
        self._kind = kind
        self._decoder = msgspec.json.Decoder(shape)
        self._events = msgspec.json.Decoder(TypedEvent[shape])  # type: ignore[valid-type]

    def event(self, line: bytes) -> TypedEvent[T] | None:
        """Return a watch event in one go, None when `line` is none or has no such object: `parse_event` tells what it is."""
        try:
            return self._events.decode(line)
        except _UNREADABLE:
            return None

    def parse(self, data: bytes | msgspec.Raw) -> T:
        """Return the document; raise DecodeError that names the object, where it has a name, and the field."""
        try:
            return self._decoder.decode(data)
        except _UNREADABLE as error:
            name = object_name(data)
            who = f"{name.namespace}/{name.name}".lstrip("/") if name.name else "without a readable name"
            raise DecodeError(f"{self._kind} {who} cannot be read: {_reason(error)}") from error


SERVICE = Shape("Service", ServiceWire)
SLICE = Shape("EndpointSlice", SliceWire)
NODE = Shape("Node", NodeWire)
_LIST = Shape("list", _ListWire)
_EVENT = Shape("watch event", WatchEvent)
_BOOKMARK = Shape("bookmark", _BookmarkWire)
_STATUS = Shape("Status", Status)
_NAME = msgspec.json.Decoder(NamedObject)


def object_name(data: bytes | msgspec.Raw) -> ObjectName:
    """Return the identity of any object, empty where it cannot be read. Never raises for bad input."""
    try:
        return _NAME.decode(data).metadata
    except _UNREADABLE:
        return ObjectName()


def parse_list(body: bytes) -> ListPage:
    """Return one page of a list; raise DecodeError when `body` is anything else.

    A list always has `items` (null when empty) and a version. Both are demanded: an answer without them, taken for an empty
    list, would remove every Service.
    """
    page = _LIST.parse(body)
    if not page.metadata.version:
        raise DecodeError("the list has no metadata.resourceVersion")
    return ListPage(page.metadata.version, page.metadata.next_page, page.items or [])


def parse_event(line: bytes) -> WatchEvent:
    """Return one watch event; raise DecodeError when the line is not one."""
    return _EVENT.parse(line)


def parse_bookmark(data: msgspec.Raw) -> Bookmark:
    """Return the object of a BOOKMARK event; raise DecodeError when it is none."""
    metadata = _BOOKMARK.parse(data).metadata
    end = (metadata.annotations or {}).get(INITIAL_EVENTS_END) == "true"
    return Bookmark(metadata.version, end)


def parse_status(data: bytes | msgspec.Raw) -> Status | None:
    """Return the Status in an error answer, None when it is something else (text of a load balancer, for example)."""
    try:
        return _STATUS.parse(data)
    except DecodeError:
        return None


def _reason(error: Exception) -> str:
    """Put msgspec's message ("Expected `int`, got `str` - at `$.spec.ports[0].port`") in our words."""
    what, _, where = str(error).replace("`", "").partition(" - at $.")
    return f"field {where}: {what}" if where else what[:200]
