"""Listening sockets: opened, silenced, refused and closed as the plan says.

Owns the sockets themselves. They live in the control process, so that a worker that dies takes no listener with it. Accepting
from them is `dataplane.acceptor`'s work. Those for datagrams are each a group, which `dataplane.udp_group` owns.

While no endpoint is usable: `drop` attaches a socket filter that discards every packet, so a waiting client connects when the
filter goes; `reject` stops listening while the port stays bound, so the kernel answers RST and nobody else gets the port.
"""

from __future__ import annotations

import errno
import socket
from collections.abc import Callable, Iterable, Set
from typing import TypeVar

import msgspec

from userproxy.core.networks import DROP_ALL, source_filter
from userproxy.core.plan import Serving
from userproxy.core.policy import Route, Verdict
from userproxy.dataplane.ports import PortNumbers, local_port_range
from userproxy.dataplane.sockets import (
    BACKLOG,
    bound_socket,
    filter_packets,
    listen_error,
    unfilter_packets,
)
from userproxy.dataplane.udp_group import DatagramGroup
from userproxy.errors import ListenError
from userproxy.model import Address, Family, ListenerSpec, PortKey, Scope

T = TypeVar("T")

_NONE: Set[ListenerSpec] = frozenset()
_UNKNOWN = Route(Scope.INTERNAL, Verdict.REJECT)


class Opened(msgspec.Struct, frozen=True):
    """Where listeners were opened, and why some were not."""

    addresses: dict[ListenerSpec, Address]
    failures: dict[ListenerSpec, str]


class Listeners:
    """The open listening sockets and the verdict each of them shows to clients."""

    def __init__(self, workers: int = 1) -> None:
        self._workers = workers
        self._numbers = PortNumbers(*local_port_range())
        self._routes: dict[PortKey, tuple[Route, ...]] = {}
        self._of_port: dict[PortKey, set[ListenerSpec]] = {}
        self.sockets: dict[ListenerSpec, socket.socket] = {}
        self._groups: dict[ListenerSpec, DatagramGroup] = {}
        self._unsettled: set[ListenerSpec] = set()
        self._lost: dict[ListenerSpec, str] = {}

    def open(self, spec: ListenerSpec) -> Address:
        """Open the socket of `spec` with the verdict of its Service port; returns where it listens.

        Raises ListenError.
        """
        try:
            address = self._open_group(spec) if spec.is_udp else self._open_socket(spec)
        except ValueError as error:
            raise ListenError(_too_many_ranges(spec, error)) from error
        self._of_port.setdefault(spec.key, set()).add(spec)
        return address

    def open_all(self, specs: Iterable[ListenerSpec]) -> Opened:
        """Open the sockets of `specs`; those that fail are reported, not raised.

        So are those of old that could not follow `silence` or `admit`: whoever takes from them lets go, and they are closed.
        """
        addresses: dict[ListenerSpec, Address] = {}
        failures, self._lost = self._lost, {}
        for spec in specs:
            try:
                addresses[spec] = self.open(spec)
            except ListenError as error:
                failures[spec] = str(error)
        return Opened(addresses, failures)

    def silence(self, servings: Iterable[Serving]) -> None:
        """Stop clients of routes that lost their last endpoint. To be called before the endpoints are taken away."""
        for serving in servings:
            before = self._routes.get(serving.key)
            if before is not None:
                shut = {route.scope: route for route in serving.routes if route.verdict is not Verdict.CARRY}
                self._set(serving.key, tuple(shut.get(old.scope, old) for old in before))

    def admit(self, servings: Iterable[Serving]) -> None:
        """Let clients in where endpoints are usable. To be called after the endpoints were handed over."""
        for serving in servings:
            self._set(serving.key, serving.routes)

    def close(self, spec: ListenerSpec) -> None:
        """Close the socket of `spec`."""
        opened = self.sockets.pop(spec, None) or self._groups.pop(spec, None)
        if opened is not None:
            opened.close()
            self._unsettled.discard(spec)
            self._of_port[spec.key].discard(spec)

    def forget(self, keys: Iterable[PortKey]) -> None:
        """Drop what is remembered of Service ports whose listeners are closed."""
        for key in keys:
            self._routes.pop(key, None)
            self._of_port.pop(key, None)

    def close_streams(self) -> None:
        """Close every socket that takes connections; datagrams go on."""
        for spec in tuple(self.sockets):
            self.close(spec)

    def close_all(self) -> None:
        """Close every socket."""
        for spec in (*self.sockets, *self._groups):
            self.close(spec)

    def settle(self) -> None:
        """Refuse datagrams where that had to wait until capture made an address local."""
        self._unsettled = {spec for spec in self._unsettled if not self._groups[spec].settle()}

    def socket_of(self, spec: ListenerSpec, worker: int = 0) -> socket.socket:
        """Return the socket from which `worker` takes what comes to a listener that refuses nobody."""
        return self._groups[spec].sockets[worker] if spec.is_udp else self.sockets[spec]

    def route(self, spec: ListenerSpec) -> Route:
        """Return what clients of a listener meet now; without a route of its scope they are refused."""
        for route in self._routes.get(spec.key, ()):
            if route.scope == spec.scope:
                return route
        return _UNKNOWN

    def of(self, key: PortKey) -> Set[ListenerSpec]:
        """Return the open listeners of a Service port, as they are until the next change."""
        return self._of_port.get(key, _NONE)

    def refused(self, serving: Serving) -> list[ListenerSpec]:
        """Return the open listeners of a Service port whose clients are refused by the routes of `serving`."""
        specs = self.of(serving.key)
        if not specs:
            return []
        refused = {route.scope for route in serving.routes if route.verdict is Verdict.REJECT}
        return [spec for spec in specs if spec.scope in refused]

    def _set(self, key: PortKey, routes: tuple[Route, ...]) -> None:
        specs = self.of(key)
        before = {spec: self.route(spec) for spec in specs}
        self._routes[key] = routes
        for spec in specs:
            if before[spec] == self.route(spec):
                continue
            try:
                if spec.is_udp:
                    self._show_group(spec)
                else:
                    _show(self.sockets[spec], key.family, before[spec], self.route(spec))
            except (OSError, ValueError) as error:
                # To be closed, so that it lets nobody in; the others go on. It is opened again like one that failed at first.
                self._lost[spec] = (
                    _too_many_ranges(spec, error)
                    if isinstance(error, ValueError)
                    else str(listen_error(f"Service port {spec.key}", spec.address, spec.port, error))
                )

    def _show_group(self, spec: ListenerSpec) -> None:
        group = self._groups[spec]
        group.show(self.route(spec))
        if not group.settle():
            self._unsettled.add(spec)

    def _open_group(self, spec: ListenerSpec) -> Address:
        route = self.route(spec)
        group = self._bind(spec, lambda port: DatagramGroup(spec.address, port, self._workers, route))
        self._groups[spec] = group
        if not group.settle():
            self._unsettled.add(spec)
        return group.address

    def _open_socket(self, spec: ListenerSpec) -> Address:
        def opened(port: int) -> tuple[socket.socket, int]:
            sock = bound_socket(spec.address, port)
            try:
                # Another process may have bound the same port and not listened yet: then this is what fails (ip(7)).
                _show(sock, spec.key.family, None, self.route(spec))
            except BaseException:
                sock.close()
                raise
            return sock, port

        self.sockets[spec], port = self._bind(spec, opened)
        return spec.address, port

    def _bind(self, spec: ListenerSpec, bind: Callable[[int], T]) -> T:
        for port in [spec.port] if spec.port else self._numbers.candidates():
            try:
                return bind(port)
            except OSError as error:
                if spec.port or error.errno != errno.EADDRINUSE:
                    raise listen_error(f"Service port {spec.key}", spec.address, port, error) from error
        raise ListenError(
            f"Service port {spec.key}: no port is free on {spec.address}; fewer Services, or another --proxy-address"
        )


def _too_many_ranges(spec: ListenerSpec, error: ValueError) -> str:
    return f"Service port {spec.key}: too many source ranges: {error}; merge some of loadBalancerSourceRanges"


def _show(sock: socket.socket, family: Family, before: Route | None, after: Route) -> None:
    """Make `sock` treat clients as `after` says, given that it treated them as `before` says (None: it is new)."""
    was = before.verdict if before else Verdict.REJECT
    if after.verdict is Verdict.REJECT:
        if was is not Verdict.REJECT:
            # The kernel moves a listening socket to CLOSE and keeps an explicitly bound port (inet_shutdown).
            sock.shutdown(socket.SHUT_RDWR)
            unfilter_packets(sock)
        return
    filtered = was is Verdict.DROP or bool(before and was is Verdict.CARRY and before.allowed)
    if after.verdict is Verdict.DROP:
        filter_packets(sock, DROP_ALL)
    elif after.allowed:
        filter_packets(sock, source_filter(after.allowed, family))
    if was is Verdict.REJECT:
        sock.listen(BACKLOG)
    if filtered and after.verdict is Verdict.CARRY and not after.allowed:
        unfilter_packets(sock)
