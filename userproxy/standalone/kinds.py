"""The one table of kinds: whatever differs from kind to kind in serving, storing, listing and deleting stands here.

Names, shapes, defaults, allotted values, checks, field selectors. The server, discovery, the store and the manifests
reader read this table and know no kind by name. The rules themselves are in `resources`.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from types import MappingProxyType

import msgspec

from userproxy.standalone.objects import Json, name_of, namespace_of
from userproxy.standalone.probes.declared import unsupported
from userproxy.standalone.resources import (
    endpoints,
    endpointslice,
    event,
    lease,
    namespace,
    node,
    pod,
    service,
    service_rules,
    servicecidr,
)
from userproxy.standalone.schema import Shape
from userproxy.standalone.statuses import Cause

FieldReader = Callable[[Json], str]

DEFAULT_SELECTABLE: Mapping[str, FieldReader] = MappingProxyType(
    {"metadata.name": name_of, "metadata.namespace": namespace_of}
)


def _no_warnings(_item: Json) -> tuple[str, ...]:
    return ()


def _no_defaults(_item: Json) -> None:
    """Kinds without defaults."""


class Kind(msgspec.Struct, frozen=True, eq=False):
    """One kind of object. Two kinds are the same only when they are the same object.

    `default` fills in an object whose types are checked; `check(object, old)` returns its faults, `old` being None on
    create. `selectable` are the fields that field selectors may name.
    """

    kind: str
    plural: str
    singular: str
    shape: Shape
    default: Callable[[Json], None]
    check: Callable[[Json, Json | None], list[Cause]]
    group: str = ""
    version: str = "v1"
    short_names: tuple[str, ...] = ()
    categories: tuple[str, ...] = ()
    namespaced: bool = True
    selectable: Mapping[str, FieldReader] = DEFAULT_SELECTABLE
    has_status: bool = False
    """There is a `/status` subresource."""
    declared_status: bool = False
    """The status may also be given with the object, since no kubelet reports it here."""
    has_addresses: bool = False
    """Cluster IPs and node ports are allotted."""
    counts_generation: bool = False
    put_creates: bool = False
    """PUT on a name that does not exist creates the object."""
    delete_answers_object: bool = False
    """DELETE answers with the object; the other kinds answer with a Status."""
    deletes_collection: bool = True
    deprecation: str = ""
    """What everyone who touches the kind is warned of."""
    warn: Callable[[Json], tuple[str, ...]] = _no_warnings
    """What clients are warned of when they write an object."""

    @property
    def api_version(self) -> str:
        """What stands in `apiVersion`."""
        return f"{self.group}/{self.version}" if self.group else self.version

    @property
    def list_kind(self) -> str:
        """What stands in the `kind` of a list."""
        return f"{self.kind}List"

    @property
    def resource(self) -> str:
        """Plural with the group, which is unique."""
        return f"{self.plural}.{self.group}" if self.group else self.plural


NAMESPACE = Kind(
    kind="Namespace",
    plural="namespaces",
    singular="namespace",
    short_names=("ns",),
    namespaced=False,
    shape=namespace.SHAPE,
    default=namespace.fill_defaults,
    check=lambda item, _old: namespace.check(item),
    selectable={**DEFAULT_SELECTABLE, "status.phase": lambda item: str(item["status"].get("phase", ""))},
    has_status=True,
    delete_answers_object=True,
    deletes_collection=False,
)

NODE = Kind(
    kind="Node",
    plural="nodes",
    singular="node",
    short_names=("no",),
    namespaced=False,
    shape=node.SHAPE,
    default=_no_defaults,
    check=lambda item, _old: node.check(item),
    selectable={
        **DEFAULT_SELECTABLE,
        "spec.unschedulable": lambda item: str(bool(item["spec"].get("unschedulable"))).lower(),
    },
    has_status=True,
    declared_status=True,
)

POD = Kind(
    kind="Pod",
    plural="pods",
    singular="pod",
    short_names=("po",),
    categories=("all",),
    shape=pod.SHAPE,
    default=pod.fill_defaults,
    check=lambda item, _old: pod.check(item),
    warn=unsupported,
    selectable={
        **DEFAULT_SELECTABLE,
        "spec.nodeName": lambda item: str(item["spec"].get("nodeName", "")),
        "spec.restartPolicy": lambda item: str(item["spec"].get("restartPolicy", "")),
        "status.phase": lambda item: str(item["status"].get("phase", "")),
        "status.podIP": lambda item: str(item["status"].get("podIP", "")),
    },
    has_status=True,
    declared_status=True,
    counts_generation=True,
    delete_answers_object=True,
)

SERVICE = Kind(
    kind="Service",
    plural="services",
    singular="service",
    short_names=("svc",),
    categories=("all",),
    shape=service.SHAPE,
    default=service.fill_defaults,
    check=lambda item, _old: service_rules.check(item),
    selectable={
        **DEFAULT_SELECTABLE,
        "spec.clusterIP": lambda item: str(item["spec"].get("clusterIP", "")),
        "spec.type": lambda item: str(item["spec"].get("type", "")),
    },
    has_status=True,
    has_addresses=True,
    put_creates=True,
    delete_answers_object=True,
)

ENDPOINT_SLICE = Kind(
    kind="EndpointSlice",
    group="discovery.k8s.io",
    plural="endpointslices",
    singular="endpointslice",
    shape=endpointslice.SHAPE,
    default=endpointslice.fill_defaults,
    check=endpointslice.check,
    warn=endpointslice.warnings,
    counts_generation=True,
)

ENDPOINTS = Kind(
    kind="Endpoints",
    plural="endpoints",
    singular="endpoints",
    short_names=("ep",),
    shape=endpoints.SHAPE,
    default=endpoints.fill_defaults,
    check=endpoints.check,
    deprecation=endpoints.DEPRECATION,
    put_creates=True,
)

EVENT = Kind(
    kind="Event",
    plural="events",
    singular="event",
    short_names=("ev",),
    shape=event.SHAPE,
    default=_no_defaults,
    check=lambda item, _old: event.check(item),
    selectable={**DEFAULT_SELECTABLE, **event.SELECTABLE},
    put_creates=True,
)

LEASE = Kind(
    kind="Lease",
    group="coordination.k8s.io",
    plural="leases",
    singular="lease",
    shape=lease.SHAPE,
    default=_no_defaults,
    check=lambda item, _old: lease.check(item),
    put_creates=True,
)

SERVICE_CIDR = Kind(
    kind="ServiceCIDR",
    group="networking.k8s.io",
    plural="servicecidrs",
    singular="servicecidr",
    namespaced=False,
    shape=servicecidr.SHAPE,
    default=_no_defaults,
    check=servicecidr.check,
    has_status=True,
)

KINDS: tuple[Kind, ...] = (
    NAMESPACE,
    NODE,
    POD,
    SERVICE,
    ENDPOINTS,
    ENDPOINT_SLICE,
    EVENT,
    LEASE,
    SERVICE_CIDR,
)

_BY_RESOURCE = {(kind.group, kind.version, kind.plural): kind for kind in KINDS}
_BY_KIND = {(kind.api_version, kind.kind): kind for kind in KINDS}
GROUPS: dict[str, tuple[str, ...]] = {}
"""Versions of each API group, the core group being the empty text."""
for _kind in KINDS:
    if _kind.version not in GROUPS.get(_kind.group, ()):
        GROUPS[_kind.group] = (*GROUPS.get(_kind.group, ()), _kind.version)


def by_resource(group: str, version: str, plural: str) -> Kind | None:
    """Return the kind that a URL names."""
    return _BY_RESOURCE.get((group, version, plural))


def by_kind(api_version: str, kind: str) -> Kind | None:
    """Return the kind that an object names."""
    return _BY_KIND.get((api_version, kind))
