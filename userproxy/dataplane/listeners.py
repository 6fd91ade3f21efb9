"""Listening sockets: opened, silenced, refused and closed as the plan says.

Owns the sockets themselves. They live in the control process, so that a worker that dies takes no listener with it. Accepting
from them is `dataplane.acceptor`'s work.

While no endpoint is usable: `drop` attaches a socket filter that discards every packet, so a waiting client connects when the
filter goes; `reject` stops listening while the port stays bound, so the kernel answers RST and nobody else gets the port.
"""

from __future__ import annotations

import errno
import socket
from collections.abc import Iterable

import msgspec

from userproxy.core.plan import Serving, Verdict
from userproxy.dataplane.ports import PortNumbers, local_port_range
from userproxy.dataplane.sockets import (
    BACKLOG,
    SocketSettings,
    admit_connections,
    bound_socket,
    drop_connections,
    listen_error,
)
from userproxy.errors import ListenError
from userproxy.model import Address, ListenerSpec, PortKey


class Opened(msgspec.Struct, frozen=True):
    """Where listeners were opened, and why some were not."""

    addresses: dict[ListenerSpec, Address]
    failures: dict[ListenerSpec, str]


class Listeners:
    """The open listening sockets and the verdict each of them shows to clients."""

    def __init__(self, settings: SocketSettings) -> None:
        self._settings = settings
        self._numbers = PortNumbers(*local_port_range())
        self._verdicts: dict[PortKey, Verdict] = {}
        self._of_port: dict[PortKey, set[ListenerSpec]] = {}
        self.sockets: dict[ListenerSpec, socket.socket] = {}

    def open(self, spec: ListenerSpec) -> Address:
        """Open the socket of `spec` with the verdict of its Service port; returns where it listens.

        Raises ListenError.
        """
        sock = self._bind(spec)
        try:
            self._show(sock, None, self._verdicts.get(spec.key, Verdict.REJECT))
        except OSError as error:
            sock.close()
            raise listen_error(f"Service port {spec.key}", spec.address, spec.port, error) from error
        self.sockets[spec] = sock
        self._of_port.setdefault(spec.key, set()).add(spec)
        host, port = sock.getsockname()[:2]
        return host, port

    def open_all(self, specs: Iterable[ListenerSpec]) -> Opened:
        """Open the sockets of `specs`; those that fail are reported, not raised."""
        addresses: dict[ListenerSpec, Address] = {}
        failures: dict[ListenerSpec, str] = {}
        for spec in specs:
            try:
                addresses[spec] = self.open(spec)
            except ListenError as error:
                failures[spec] = str(error)
        return Opened(addresses, failures)

    def silence(self, servings: Iterable[Serving]) -> None:
        """Stop clients of Service ports that lost their last endpoint. To be called before the endpoints are taken away."""
        for serving in servings:
            if serving.verdict is not Verdict.CARRY:
                self._set(serving)

    def admit(self, servings: Iterable[Serving]) -> None:
        """Let clients in where endpoints are usable. To be called after the endpoints were handed over."""
        for serving in servings:
            if serving.verdict is Verdict.CARRY:
                self._set(serving)

    def close(self, spec: ListenerSpec) -> None:
        """Close the socket of `spec`."""
        sock = self.sockets.pop(spec, None)
        if sock is not None:
            sock.close()
            self._of_port[spec.key].discard(spec)

    def forget(self, keys: Iterable[PortKey]) -> None:
        """Drop what is remembered of Service ports whose listeners are closed."""
        for key in keys:
            self._verdicts.pop(key, None)
            self._of_port.pop(key, None)

    def close_all(self) -> None:
        """Close every socket."""
        for spec in tuple(self.sockets):
            self.close(spec)

    def verdict(self, key: PortKey) -> Verdict:
        """Return what clients of a Service port meet now."""
        return self._verdicts[key]

    def of(self, key: PortKey) -> frozenset[ListenerSpec]:
        """Return the open listeners of a Service port."""
        return frozenset(self._of_port.get(key, ()))

    def _set(self, serving: Serving) -> None:
        before = self._verdicts.get(serving.key)
        self._verdicts[serving.key] = serving.verdict
        if before is not serving.verdict:
            for spec in self._of_port.get(serving.key, ()):
                self._show(self.sockets[spec], before, serving.verdict)

    def _show(self, sock: socket.socket, before: Verdict | None, after: Verdict) -> None:
        if after is Verdict.REJECT:
            if before is not None:
                # The kernel moves a listening socket to CLOSE and keeps an explicitly bound port (inet_shutdown).
                sock.shutdown(socket.SHUT_RDWR)
                admit_connections(sock)
            return
        if after is Verdict.DROP:
            drop_connections(sock)
        if before in (None, Verdict.REJECT):
            sock.listen(BACKLOG)
        if after is Verdict.CARRY and before is Verdict.DROP:
            admit_connections(sock)

    def _bind(self, spec: ListenerSpec) -> socket.socket:
        what = f"Service port {spec.key}"
        for port in [spec.port] if spec.port else self._numbers.candidates():
            try:
                return bound_socket(spec.address, port, self._settings)
            except OSError as error:
                if spec.port or error.errno != errno.EADDRINUSE:
                    raise listen_error(what, spec.address, port, error) from error
        raise ListenError(
            f"{what}: no port is free on {spec.address}; fewer Services, or another --proxy-address"
        )
