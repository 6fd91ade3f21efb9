"""Service ports of a worker that nobody has used yet: kept as they came over the wire until their first client.

Owns the encoded Service ports and their listening sockets, which wake them. On most nodes few of ten thousand Services ever
have a client; reading the others would take most of a worker's start and of its memory. What is done with a port that wakes is
`dataplane.worker`'s; those whose state matters before a client comes never sleep (`may_sleep`).
"""

from __future__ import annotations

import socket
from collections.abc import Callable, Iterable

from userproxy.dataplane.compact import compact_key, compact_spec
from userproxy.dataplane.reactor import Reactor
from userproxy.dataplane.tcp_listener import LISTEN_EVENTS
from userproxy.dataplane.wire import ServingHead
from userproxy.model import ListenerSpec, PortKey


def may_sleep(head: ServingHead) -> bool:
    """Whether nothing is to be known of a Service port before its first client comes.

    With session affinity it learns from other workers; one that drains takes over the connections of a Service of its name.
    """
    options = head.options
    return head.key.name.protocol == "TCP" and not options.affinity_seconds and options.drain_seconds < 0


class SleepingPorts:
    """The Service ports that sleep, by key.

    `wake` is called when a client comes, and has to `take` the port; `failed` when that could not be done.
    """

    def __init__(self, reactor: Reactor, wake: Callable[[PortKey], None], failed: Callable[[], None]) -> None:
        self.reactor = reactor
        self.wake = wake
        self.failed = failed
        self._ports: dict[PortKey, _Sleeper] = {}

    def __len__(self) -> int:
        return len(self._ports)

    def __contains__(self, key: PortKey) -> bool:
        return key in self._ports

    def put(self, key: PortKey, encoded: bytes) -> None:
        """Let the port sleep, or replace what is kept of one that does."""
        sleeper = self._ports.get(key)
        if sleeper is None:
            key = compact_key(key)
            self._ports[key] = _Sleeper(self, key, encoded)
        else:
            sleeper.encoded = encoded

    def listen(self, spec: ListenerSpec, sock: socket.socket) -> None:
        """Wake the port of `spec`, which sleeps, when a client comes to `sock`."""
        sleeper = self._ports[spec.key]
        sleeper.listeners.append((compact_spec(spec, sleeper.key), sock))
        self.reactor.targets[sock.fileno()] = sleeper
        self.reactor.epoll.register(sock.fileno(), LISTEN_EVENTS)

    def unlisten(self, spec: ListenerSpec) -> socket.socket | None:
        """Let go of the socket of `spec` and return it for closing; None if there is none."""
        sleeper = self._ports.get(spec.key)
        for index, (known, sock) in enumerate(sleeper.listeners if sleeper else ()):
            if sleeper and known == spec:
                del sleeper.listeners[index]
                self.reactor.epoll.unregister(sock.fileno())
                del self.reactor.targets[sock.fileno()]
                return sock
        return None

    def forget(self, keys: Iterable[PortKey]) -> None:
        """Drop ports that are gone; their listeners were let go before."""
        for key in keys:
            self._ports.pop(key, None)

    def take(self, key: PortKey) -> tuple[bytes, list[tuple[ListenerSpec, socket.socket]]]:
        """Return what is kept of a port, and its listeners, which stay registered for whoever takes them; it is awake."""
        sleeper = self._ports.pop(key)
        return sleeper.encoded, sleeper.listeners


class _Sleeper:
    """One port, the target of the events of all its listeners."""

    __slots__ = ("_owner", "encoded", "key", "listeners")

    def __init__(self, owner: SleepingPorts, key: PortKey, encoded: bytes) -> None:
        self._owner = owner
        self.key = key
        self.encoded = encoded
        self.listeners: list[tuple[ListenerSpec, socket.socket]] = []

    def __repr__(self) -> str:
        return f"<Service port {self.key}, asleep>"

    def on_event(self, event: int) -> None:
        """A client has come; the listener that wakes is told of it again, since it waits (level-triggered epoll)."""
        self._owner.wake(self.key)

    def abort(self) -> None:
        """An exception came out of `wake`."""
        self._owner.failed()
