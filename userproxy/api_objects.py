"""What the API server told us: its objects, reduced to what is used, and changes of them.

Owns these values and nothing that is made of them (`model`, `core`). Knows no JSON field names and checks nothing, as
`kube.decode` does: all addresses held here are valid and in canonical text form.
"""

from __future__ import annotations

from typing import TypeAlias

import msgspec

from userproxy.model import Endpoint, Family, ServiceName


class ServiceSpecPort(msgspec.Struct, frozen=True, gc=False):
    """One entry of a Service's port list. `node_port` is 0 when there is none."""

    name: str
    protocol: str
    port: int
    node_port: int = 0


class Service(msgspec.Struct, frozen=True, gc=False):
    """A Service that wants to be proxied.

    `cluster_ips` holds at most one address of each family. `annotations` holds only those that begin with
    `userproxy.dev/`, sorted by key. `load_balancer_ips` are the ingress addresses whose ipMode is VIP.
    """

    namespace: str
    name: str
    cluster_ips: tuple[str, ...]
    ports: tuple[ServiceSpecPort, ...]
    annotations: tuple[tuple[str, str], ...] = ()
    external_ips: tuple[str, ...] = ()
    load_balancer_ips: tuple[str, ...] = ()
    source_ranges: tuple[str, ...] = ()
    """networks (canonical text) that may reach the load-balancer addresses; a family with none is open to all"""
    internal_local: bool = False
    """internalTrafficPolicy Local"""
    external_local: bool = False
    """externalTrafficPolicy Local, where the Service is reachable from outside at all"""
    health_check_node_port: int = 0
    affinity_seconds: int = 0
    """session affinity by client address and how long it is remembered; 0: none"""
    labels: tuple[tuple[str, str], ...] = ()
    """sorted; for people who look for Services by them"""

    @property
    def key(self) -> ServiceName:
        """Identity in the store."""
        return ServiceName(self.namespace, self.name)

    @property
    def depends_on_host(self) -> bool:
        """Whether the host's own addresses matter for this Service."""
        return self.external_local or any(port.node_port for port in self.ports)


class SlicePort(msgspec.Struct, frozen=True, gc=False):
    """One entry of an EndpointSlice's port list; entries without a number are never made."""

    name: str
    protocol: str
    port: int


class EndpointSlice(msgspec.Struct, frozen=True, gc=False):
    """An EndpointSlice of one family. `service` is the owning Service's name in the same namespace.

    `endpoints` have their conditions resolved (kube-proxy's defaults for absent ones), and the number of the first of `ports`:
    most slices have one, so that `core.table` need not copy them.
    """

    namespace: str
    name: str
    service: str
    family: Family
    ports: tuple[SlicePort, ...]
    endpoints: tuple[Endpoint, ...]

    @property
    def key(self) -> ServiceName:
        """Identity in the store."""
        return ServiceName(self.namespace, self.name)


class Node(msgspec.Struct, frozen=True, gc=False):
    """The Node we run on. `leaving` is set while it is being deleted or drained by the cluster autoscaler.

    `addresses`: those of type InternalIP, then those of type ExternalIP.
    """

    name: str
    zone: str = ""
    leaving: bool = False
    addresses: tuple[str, ...] = ()

    @property
    def key(self) -> ServiceName:
        """Identity in the store; Nodes have no namespace."""
        return ServiceName("", self.name)


KubeObject: TypeAlias = Service | EndpointSlice | Node


class Changes(msgspec.Struct, frozen=True, gc=False):
    """One atomic batch from a watch: objects added or changed, and keys of objects that are gone.

    `resource` is `services`, `endpointslices` or `nodes`; `listed` says that with this batch everything the server
    holds has been delivered at least once.
    """

    resource: str
    changed: tuple[KubeObject, ...] = ()
    removed: tuple[ServiceName, ...] = ()
    listed: bool = False


class WatchState(msgspec.Struct, frozen=True):
    """How a watch is doing; times are seconds of the monotonic clock, None when it never happened."""

    resource: str
    listed: bool
    connected: bool
    last_event: float | None
    objects: int
    restarts: tuple[tuple[str, int], ...]
    relists: int
    decode_errors: int
    last_error: str
