"""Frozen values that cross module borders: what the API server told us, in the words of this project.

Owns the vocabulary (Service port, frontend, endpoint) as types. Knows no JSON field names (`kube.decode` does), does no
input or output and decides nothing. All addresses held here are valid and in canonical text form: whoever makes a value
from outside input (`kube.decode`) checks them.
"""

from __future__ import annotations

import enum
from typing import TypeAlias

import msgspec

Address: TypeAlias = tuple[str, int]
"""A socket address: canonical IP text and port number."""


class Family(enum.IntEnum):
    """An IP family; the two never mix (a ClusterIP reaches endpoints of its own family only)."""

    IPV4 = 4
    IPV6 = 6


def family_of(address: str) -> Family:
    """Return the family of a canonical IP address text."""
    return Family.IPV6 if ":" in address else Family.IPV4


class NoEndpoints(enum.Enum):
    """What happens to a connection attempt while no endpoint is usable."""

    DROP = "drop"
    REJECT = "reject"


class ServiceName(msgspec.Struct, frozen=True, order=True, gc=False):
    """Namespace and name of a Service (or of any other namespaced object)."""

    namespace: str
    name: str

    def __str__(self) -> str:
        return f"{self.namespace}/{self.name}"


class ServicePortName(msgspec.Struct, frozen=True, order=True, gc=False, array_like=True):
    """The unit of everything: one port of one Service. `port` is the port's name, empty when unnamed."""

    namespace: str
    name: str
    port: str
    protocol: str

    @property
    def service(self) -> ServiceName:
        """The Service this port belongs to."""
        return ServiceName(self.namespace, self.name)

    def __str__(self) -> str:
        port = f":{self.port}" if self.port else ""
        protocol = "" if self.protocol == "TCP" else f"/{self.protocol.lower()}"
        return f"{self.namespace}/{self.name}{port}{protocol}"


class PortKey(msgspec.Struct, frozen=True, order=True, gc=False, array_like=True):
    """A Service port on one IP family: what has its own endpoints, listeners and counters."""

    name: ServicePortName
    family: Family

    def __str__(self) -> str:
        return str(self.name) if self.family is Family.IPV4 else f"{self.name}[IPv6]"


# ---- objects of the API server, reduced to what is used ----------------------------------------------------------


class ServiceSpecPort(msgspec.Struct, frozen=True, gc=False):
    """One entry of a Service's port list."""

    name: str
    protocol: str
    port: int


class Service(msgspec.Struct, frozen=True, gc=False):
    """A Service that wants to be proxied.

    `cluster_ips` holds at most one address of each family. `annotations` holds only those that begin with
    `userproxy.dev/`, sorted by key.
    """

    namespace: str
    name: str
    cluster_ips: tuple[str, ...]
    ports: tuple[ServiceSpecPort, ...]
    annotations: tuple[tuple[str, str], ...] = ()

    @property
    def key(self) -> ServiceName:
        """Identity in the store."""
        return ServiceName(self.namespace, self.name)


class SlicePort(msgspec.Struct, frozen=True, gc=False):
    """One entry of an EndpointSlice's port list; entries without a number are never made."""

    name: str
    protocol: str
    port: int


class SliceEndpoint(msgspec.Struct, frozen=True, gc=False):
    """One endpoint of an EndpointSlice with its conditions resolved (kube-proxy's defaults for absent ones)."""

    address: str
    ready: bool = True
    serving: bool = True
    terminating: bool = False
    node: str = ""


class EndpointSlice(msgspec.Struct, frozen=True, gc=False):
    """An EndpointSlice of one family. `service` is the owning Service's name in the same namespace."""

    namespace: str
    name: str
    service: str
    family: Family
    ports: tuple[SlicePort, ...]
    endpoints: tuple[SliceEndpoint, ...]

    @property
    def key(self) -> ServiceName:
        """Identity in the store."""
        return ServiceName(self.namespace, self.name)


class Node(msgspec.Struct, frozen=True, gc=False):
    """The Node we run on. `leaving` is set while it is being deleted or drained by the cluster autoscaler."""

    name: str
    zone: str = ""
    leaving: bool = False

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


# ---- what the core makes of them ---------------------------------------------------------------------------------


class Endpoint(msgspec.Struct, frozen=True, gc=False):
    """The address of a Pod behind a Service port, with the conditions that decide whether it may be used."""

    address: str
    port: int
    ready: bool = True
    serving: bool = True
    terminating: bool = False
    node: str = ""

    @property
    def socket_address(self) -> Address:
        """What connect() takes."""
        return (self.address, self.port)


class FrontendKind(enum.Enum):
    """Which of a Service's addresses a frontend is."""

    CLUSTER_IP = "ClusterIP"
    LOOPBACK = "Loopback"


class Frontend(msgspec.Struct, frozen=True, order=True, gc=False):
    """An address that clients reach."""

    address: str
    port: int
    protocol: str
    kind: FrontendKind = FrontendKind.CLUSTER_IP

    def __str__(self) -> str:
        host = f"[{self.address}]" if ":" in self.address else self.address
        return f"{host}:{self.port}"


class ServicePort(msgspec.Struct, frozen=True, gc=False):
    """One Service port on one family with every endpoint known for it, usable or not."""

    key: PortKey
    cluster_ip: str
    port: int
    endpoints: tuple[Endpoint, ...]
    no_endpoints: NoEndpoints | None = None
    max_connections: int = 0
    """connections open at once on this port; 0: no limit of its own"""


class ListenerSpec(msgspec.Struct, frozen=True, order=True, gc=False, array_like=True):
    """A listening socket that a Service port needs.

    `port` 0 lets the data plane choose one. `captured_only`: connections that no capture rule brought here are refused.
    """

    key: PortKey
    address: str
    port: int
    captured_only: bool


class CaptureEntry(msgspec.Struct, frozen=True, order=True, gc=False):
    """Packets for `frontend` shall reach the listening socket at `listener`."""

    frontend: Frontend
    listener: Address


class Probe(msgspec.Struct, frozen=True):
    """Answer of a capture probe: usable, or why not, in one line that says what to do about it."""

    capture: str
    usable: bool
    reason: str
