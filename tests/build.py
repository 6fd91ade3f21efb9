"""Short builders of model values for tests."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from userproxy.api_objects import (
    Changes,
    EndpointSlice,
    KubeObject,
    Service,
    ServiceSpecPort,
    SlicePort,
)
from userproxy.core.counters import DIAL_BUCKETS
from userproxy.core.plan import Serving
from userproxy.core.policy import Route, Verdict
from userproxy.model import (
    Address,
    Endpoint,
    Family,
    PortKey,
    PortOptions,
    Scope,
    ServiceName,
    ServicePortName,
    family_of,
)


def service(name: str, *cluster_ips: str, ports: dict[str, int] | None = None, **annotations: str) -> Service:
    """A Service in namespace default; `ports` maps port names to numbers (default: one unnamed port 80)."""
    wanted = {"": 80} if ports is None else ports
    return Service(
        "default",
        name,
        cluster_ips or ("10.96.0.10",),
        tuple(ServiceSpecPort(port, "TCP", number) for port, number in wanted.items()),
        tuple(
            (f"userproxy.dev/{key.replace('_', '-')}", value) for key, value in sorted(annotations.items())
        ),
    )


def endpoint_slice(
    name: str,
    owner: str,
    *endpoints: str | Endpoint,
    ports: dict[str, int] | None = None,
    family: Family | None = None,
) -> EndpointSlice:
    """An EndpointSlice of Service `owner` in namespace default; a plain text is a ready endpoint."""
    made = tuple(Endpoint(one) if isinstance(one, str) else one for one in endpoints)
    wanted = {"": 8080} if ports is None else ports
    return EndpointSlice(
        "default",
        name,
        owner,
        family or (family_of(made[0].address) if made else Family.IPV4),
        tuple(SlicePort(port, "TCP", number) for port, number in wanted.items()),
        made,
    )


def key(name: str, port: str = "", family: Family = Family.IPV4, protocol: str = "TCP") -> PortKey:
    """The key of a Service port in namespace default."""
    return PortKey(ServicePortName("default", name, port, protocol), family)


def serving_of(
    owner: PortKey, endpoints: Iterable[Address] = (), verdict: Verdict | None = None, **options: Any
) -> Serving:
    """What the data plane is told of a Service port with a ClusterIP only; `options` are those of PortOptions."""
    addresses = tuple(endpoints)
    shown = verdict or (Verdict.CARRY if addresses else Verdict.DROP)
    return Serving(owner, addresses, (), (Route(Scope.INTERNAL, shown),), PortOptions(**options))


def name(text: str) -> ServiceName:
    """A name in namespace default."""
    return ServiceName("default", text)


def services(*objects: KubeObject, removed: tuple[str, ...] = (), listed: bool = True) -> Changes:
    """A batch of the Service watch."""
    return Changes("services", objects, tuple(name(one) for one in removed), listed)


def slices(*objects: KubeObject, removed: tuple[str, ...] = (), listed: bool = True) -> Changes:
    """A batch of the EndpointSlice watch."""
    return Changes("endpointslices", objects, tuple(name(one) for one in removed), listed)


def buckets(**dials: int) -> list[int]:
    """Dials by the index of their bucket: `_3=5` is five dials in the fourth."""
    counts = [0] * (len(DIAL_BUCKETS) + 1)
    for index, number in dials.items():
        counts[int(index[1:])] = number
    return counts
