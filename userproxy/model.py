"""Frozen values that cross module borders: Service ports, endpoints, frontends, listeners, in the words of this project.

Owns the vocabulary as types; what the API server told us is in `api_objects`. Does no input or output and decides nothing.
All addresses held here are valid and in canonical text form: whoever makes a value from outside input (`kube.decode`)
checks them.
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


class Endpoint(msgspec.Struct, frozen=True, gc=False):
    """The address of a Pod behind a Service port, with the conditions that decide whether it may be used.

    `zones` and `nodes` are the hints: where this endpoint shall be used.
    """

    address: str
    port: int = 0
    ready: bool = True
    serving: bool = True
    terminating: bool = False
    node: str = ""
    zones: tuple[str, ...] = ()
    nodes: tuple[str, ...] = ()

    @property
    def socket_address(self) -> Address:
        """What connect() takes."""
        return (self.address, self.port)


class FrontendKind(enum.Enum):
    """Which of a Service's addresses a frontend is."""

    # Members are singletons. Enum's own is a function in Python, called whenever a value that has one is looked up.
    __hash__ = object.__hash__

    CLUSTER_IP = "ClusterIP"
    LOOPBACK = "Loopback"
    EXTERNAL_IP = "ExternalIP"
    LOAD_BALANCER = "LoadBalancer"
    NODE_PORT = "NodePort"


class Scope(enum.StrEnum):
    """Which of a Service's traffic policies a listener follows."""

    INTERNAL = "internal"
    """ClusterIP and loopback address: internalTrafficPolicy"""
    EXTERNAL = "external"
    """external IP and node port: externalTrafficPolicy"""
    LOAD_BALANCER = "load-balancer"
    """load-balancer address: externalTrafficPolicy and loadBalancerSourceRanges"""


class Frontend(msgspec.Struct, frozen=True, order=True, gc=False):
    """An address that clients reach."""

    address: str
    port: int
    protocol: str
    kind: FrontendKind = FrontendKind.CLUSTER_IP

    def __str__(self) -> str:
        host = f"[{self.address}]" if ":" in self.address else self.address
        return f"{host}:{self.port}"


class Balance(enum.Enum):
    """How the endpoint of a new connection is chosen."""

    ROUND_ROBIN = "round-robin"
    LEAST_CONNECTIONS = "least-connections"
    RANDOM_TWO = "random-two"
    SOURCE_HASH = "source-hash"


class PortOptions(msgspec.Struct, frozen=True, gc=False, array_like=True):
    """What a Service port asks of the data plane beside endpoints."""

    max_connections: int = 0
    """connections open at once on this port; 0: no limit of its own"""
    affinity_seconds: int = 0
    """how long a client's endpoint is remembered after its last new connection; 0: no session affinity"""
    balance: Balance = Balance.ROUND_ROBIN
    eject_failures: int = 0
    """failed dials in a row after which an endpoint rests; 0: never"""
    drain_seconds: float = -1.0
    """how long connections to an endpoint that left may go on; negative: for ever"""
    proxy_protocol: int = 0
    """version of the PROXY protocol header that endpoints get; 0: none"""
    transparent: bool = False
    """whether endpoints see the client's own address, where the agent allows it (--transparent) and answers come back by it"""


DEFAULT_OPTIONS = PortOptions()


class Exposure(msgspec.Struct, frozen=True, gc=False):
    """How a Service port is reached beside its ClusterIP, on one family, and its traffic policies."""

    external_ips: tuple[str, ...] = ()
    load_balancer_ips: tuple[str, ...] = ()
    source_ranges: tuple[str, ...] = ()
    node_port: int = 0
    health_check_node_port: int = 0
    internal_local: bool = False
    external_local: bool = False


CLUSTER_IP_ONLY = Exposure()


class ServicePort(msgspec.Struct, frozen=True, gc=False):
    """One Service port on one family with every endpoint known for it, usable or not."""

    key: PortKey
    cluster_ip: str
    port: int
    endpoints: tuple[Endpoint, ...]
    no_endpoints: NoEndpoints | None = None
    options: PortOptions = DEFAULT_OPTIONS
    exposure: Exposure = CLUSTER_IP_ONLY


class Host(msgspec.Struct, frozen=True, gc=False):
    """The machine we run on and its place in the cluster."""

    node: str = ""
    """name of our Node"""
    zone: str = ""
    node_addresses: tuple[str, ...] = ()
    """as the Node object has them"""
    addresses: tuple[str, ...] = ()
    """of the interfaces, without link-local ones"""


class ListenerSpec(msgspec.Struct, frozen=True, order=True, gc=False, array_like=True):
    """A listening socket that a Service port needs.

    `port` 0 lets the data plane choose one. `captured_only`: connections that no capture rule brought here are refused.
    `scope` says which route of the Service port its connections take.
    """

    key: PortKey
    address: str
    port: int
    captured_only: bool
    scope: Scope = Scope.INTERNAL

    @property
    def is_udp(self) -> bool:
        """Whether it takes datagrams; else connections."""
        return self.key.name.protocol == "UDP"


class CaptureEntry(msgspec.Struct, frozen=True, order=True, gc=False):
    """Packets for `frontend` shall reach the listening socket at `listener`."""

    frontend: Frontend
    listener: Address


class Probe(msgspec.Struct, frozen=True):
    """Answer of a capture probe: usable, or why not, in one line that says what to do about it."""

    capture: str
    usable: bool
    reason: str
