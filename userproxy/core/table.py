"""The service table: folds what the watches deliver into Service ports with their endpoints.

Owns the merge of EndpointSlices (kube-proxy's ESC and ECT, reference rows 1.3.x): union over slices for each port name and
protocol, families kept apart, duplicates removed. It remembers which Services a batch touched, so that the cost of one change
does not depend on the number of Services. Decides nothing about which endpoints are used (`core.topology`).
One writer: the reconcile loop.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from itertools import islice

from msgspec import structs

from userproxy.api_objects import Changes, EndpointSlice, Node, Service, ServiceSpecPort
from userproxy.core.annotations import ServiceSettings, read_annotations
from userproxy.core.networks import of_family
from userproxy.model import (
    CLUSTER_IP_ONLY,
    DEFAULT_OPTIONS,
    Endpoint,
    Exposure,
    Family,
    PortKey,
    PortOptions,
    ServiceName,
    ServicePort,
    ServicePortName,
    family_of,
)


class ServiceTable:
    """All Services and EndpointSlices by key, and the set of Services touched since `take` was last called."""

    def __init__(self, defaults: PortOptions = DEFAULT_OPTIONS, *, transparent_allowed: bool = False) -> None:
        """`defaults` are the options of a Service that does not ask for others."""
        self._defaults = defaults
        self._transparent_allowed = transparent_allowed
        self._services: dict[ServiceName, Service] = {}
        self._slices: dict[ServiceName, dict[str, EndpointSlice]] = {}
        self._owner_of_slice: dict[ServiceName, ServiceName] = {}
        self._settings: dict[ServiceName, ServiceSettings] = {}
        self._touched: dict[ServiceName, None] = {}
        """in the order in which they were touched first"""
        self._listed: set[str] = set()
        self.node: Node | None = None

    @property
    def complete(self) -> bool:
        """Whether Services and EndpointSlices have both been listed in full (nothing is programmed before)."""
        return {"services", "endpointslices"} <= self._listed

    @property
    def listed(self) -> frozenset[str]:
        """The resources that have been listed in full."""
        return frozenset(self._listed)

    @property
    def touched(self) -> int:
        """How many Services wait to be taken."""
        return len(self._touched)

    def apply(self, changes: Changes) -> None:
        """Fold one batch of a watch into the table."""
        if changes.listed:
            self._listed.add(changes.resource)
        for item in changes.changed:
            if isinstance(item, Service):
                self._services[item.key] = item
                self._settings[item.key] = self._read(item)
                self._touched[item.key] = None
            elif isinstance(item, EndpointSlice):
                self._put_slice(item)
            else:
                self.node = item
        for key in changes.removed:
            self._remove(changes.resource, key)

    def touch(self, services: Iterable[ServiceName]) -> None:
        """Mark Services to be planned again (a failed listener is retried, a frontend became free)."""
        self._touched.update(dict.fromkeys(services))

    def take(self, most: int | None = None) -> dict[ServiceName, tuple[ServicePort, ...]]:
        """Return the Service ports of the Services touched since they were taken last; an empty tuple means it is gone.

        With `most`, of so many at most: those that wait longest.
        """
        touched = tuple(islice(self._touched, most))
        for name in touched:
            del self._touched[name]
        return {name: tuple(self.service_ports(name)) for name in sorted(touched)}

    def service_ports(self, name: ServiceName) -> Iterator[ServicePort]:
        """Yield the Service ports of one Service, for each family it has a ClusterIP of."""
        service = self._services.get(name)
        if service is None:
            return
        settings = self._settings[name]
        slices = [piece for _, piece in sorted(self._slices.get(name, {}).items())]
        for cluster_ip in service.cluster_ips:
            family = family_of(cluster_ip)
            own = [piece for piece in slices if piece.family == family]
            seen: set[tuple[str, str]] = set()
            for port in service.ports:
                if (port.name, port.protocol) in seen:
                    continue
                seen.add((port.name, port.protocol))
                key = PortKey(ServicePortName(name.namespace, name.name, port.name, port.protocol), family)
                yield ServicePort(
                    key,
                    cluster_ip,
                    port.port,
                    merge_endpoints(own, port),
                    settings.no_endpoints,
                    settings.options,
                    exposure(service, port, family),
                )

    def configure(self, defaults: PortOptions) -> None:
        """Take over other options for Services that do not ask for any, and mark every Service."""
        self._defaults = defaults
        self._settings = {name: self._read(service) for name, service in self._services.items()}
        self.touch_all()

    def touch_all(self) -> None:
        """Mark every Service: what we know of our own place in the cluster has changed."""
        self.touch(self._services)

    def touch_host_dependent(self) -> None:
        """Mark the Services that follow the host's own addresses: those with node ports or an external policy."""
        self.touch(name for name, one in self._services.items() if one.depends_on_host)

    def services(self) -> Iterator[ServiceName]:
        """Yield the names of all Services, sorted."""
        yield from sorted(self._services)

    def at_address(self, address: str) -> Iterator[ServiceName]:
        """Yield the Services that have `address` in their object, whether it is served or not."""
        for name, one in self._services.items():
            if address in one.cluster_ips or address in one.external_ips or address in one.load_balancer_ips:
                yield name

    def warnings(self, name: ServiceName) -> tuple[str, ...]:
        """Return what is wrong with the annotations of one Service."""
        settings = self._settings.get(name)
        return settings.warnings if settings else ()

    def labels(self, name: ServiceName) -> dict[str, str]:
        """Return the labels of one Service."""
        service = self._services.get(name)
        return dict(service.labels) if service else {}

    def _read(self, service: Service) -> ServiceSettings:
        return read_annotations(service, self._defaults, transparent_allowed=self._transparent_allowed)

    def _put_slice(self, piece: EndpointSlice) -> None:
        owner = ServiceName(piece.namespace, piece.service)
        before = self._owner_of_slice.get(piece.key)
        if before is not None and before != owner:
            # The label was edited on a live slice; kube-proxy keeps the stale copy (row 1.3.13), which helps nobody.
            self._remove("endpointslices", piece.key)
        self._owner_of_slice[piece.key] = owner
        self._slices.setdefault(owner, {})[piece.name] = piece
        self._touched[owner] = None

    def _remove(self, resource: str, key: ServiceName) -> None:
        if resource == "services":
            self._settings.pop(key, None)
            if self._services.pop(key, None) is not None:
                self._touched[key] = None
        elif resource == "endpointslices":
            owner = self._owner_of_slice.pop(key, None)
            if owner is None:
                return
            pieces = self._slices[owner]
            del pieces[key.name]
            if not pieces:
                del self._slices[owner]
            self._touched[owner] = None
        else:
            # The last known Node stays (row 1.4.14), but a Node that was deleted is leaving for certain.
            before = self.node or Node(key.name)
            self.node = Node(key.name, before.zone, leaving=True, addresses=before.addresses)


def merge_endpoints(slices: Iterable[EndpointSlice], port: ServiceSpecPort) -> tuple[Endpoint, ...]:
    """Return the endpoints of one Service port from all `slices` of its Service and family.

    Duplicates have the same address and port; one that does not terminate replaces what is stored, a terminating one never
    does (row 1.3.7). Sorted by the text "address:port" (row 1.3.8), so equal input gives equal output.
    """
    found: dict[str, Endpoint] = {}
    for piece in slices:
        for number in [p.port for p in piece.ports if p.name == port.name and p.protocol == port.protocol]:
            ending = f":{number}"
            for one in piece.endpoints:
                text = one.address + ending
                if one.terminating and text in found:
                    continue
                found[text] = one if one.port == number else structs.replace(one, port=number)
    return tuple([found[text] for text in sorted(found)])


def exposure(service: Service, port: ServiceSpecPort, family: Family) -> Exposure:
    """Return how a Service port is reached beside its ClusterIP on one family."""
    wider = service.external_ips or service.load_balancer_ips or port.node_port
    if not wider and not service.internal_local and not service.health_check_node_port:
        return CLUSTER_IP_ONLY
    return Exposure(
        of_family(service.external_ips, family),
        of_family(service.load_balancer_ips, family),
        of_family(service.source_ranges, family),
        port.node_port,
        service.health_check_node_port,
        service.internal_local,
        service.external_local,
    )
