"""Which events somebody wants: by Service, endpoint, client, verdict and time.

Owns the meaning and the checks of the filters of `userproxy observe` and of `/events`, which are the same.
"""

from __future__ import annotations

import ipaddress
from collections.abc import Iterable
from datetime import datetime
from typing import TypeAlias

import msgspec

from userproxy.core.events import VERDICTS, ChangeEvent, ConnectionEvent, Event
from userproxy.errors import UsageError

Network: TypeAlias = ipaddress.IPv4Network | ipaddress.IPv6Network


class Host(msgspec.Struct, frozen=True):
    """A network, and a port of it or 0 for all."""

    network: Network
    port: int = 0

    def matches(self, text: str) -> bool:
        """Whether `text`, an `IP:port` or nothing, lies in it."""
        host, _, port = text.rpartition(":")
        if not host or (self.port and port != str(self.port)):
            return False
        return ipaddress.ip_address(host.strip("[]")) in self.network


class EventFilter(msgspec.Struct, frozen=True, kw_only=True):
    """All that is given must hold; of several values of one filter any."""

    namespace: str = ""
    services: frozenset[str] = frozenset()
    """`name` or `namespace/name`, with `:port` or without"""
    endpoints: tuple[Host, ...] = ()
    clients: tuple[Host, ...] = ()
    verdicts: frozenset[str] = frozenset()
    since: datetime | None = None

    def matches(self, event: Event) -> bool:
        """Whether `event` is wanted; that events were lost always is."""
        if isinstance(event, ConnectionEvent | ChangeEvent):
            return (
                (self.since is None or event.time >= self.since)
                and (not self.namespace or event.namespace == self.namespace)
                and (not self.services or self._names(event))
                and (not self.verdicts or not self.verdicts.isdisjoint(verdicts_of(event)))
                and (not self.endpoints or _any(self.endpoints, _endpoints_of(event)))
                and (not self.clients or _any(self.clients, _clients_of(event)))
            )
        return True

    def _names(self, event: ConnectionEvent | ChangeEvent) -> bool:
        name, full = event.service, f"{event.namespace}/{event.service}"
        return not self.services.isdisjoint((name, full, f"{name}:{event.port}", f"{full}:{event.port}"))


def make_filter(
    *,
    namespace: str = "",
    services: Iterable[str] = (),
    endpoints: Iterable[str] = (),
    clients: Iterable[str] = (),
    verdicts: Iterable[str] = (),
    since: datetime | None = None,
) -> EventFilter:
    """Return the filter that texts of a person mean. Raises UsageError."""
    wanted = frozenset(word.lower() for word in verdicts)
    unknown = sorted(wanted.difference(VERDICTS))
    if unknown:
        raise UsageError(f"verdict: {unknown[0]!r} is none; there are {', '.join(VERDICTS)}")
    return EventFilter(
        namespace=namespace,
        services=frozenset(services),
        endpoints=tuple(_host(text, "endpoint") for text in endpoints),
        clients=tuple(_host(text, "client") for text in clients),
        verdicts=wanted,
        since=since,
    )


def verdicts_of(event: ConnectionEvent | ChangeEvent) -> set[str]:
    """Return every word of VERDICTS that holds for `event`."""
    if isinstance(event, ChangeEvent):
        return {"change", event.verdict}
    words = {event.verdict}
    if event.failed:
        words.add("retried")
    if event.endpoint and event.verdict != "refused":
        words.add("carried")
    return words


def _endpoints_of(event: ConnectionEvent | ChangeEvent) -> tuple[str, ...]:
    failed = event.failed if isinstance(event, ConnectionEvent) else ()
    return (event.endpoint, *failed)


def _clients_of(event: ConnectionEvent | ChangeEvent) -> tuple[str, ...]:
    return (event.client,) if isinstance(event, ConnectionEvent) else ()


def _any(hosts: tuple[Host, ...], texts: tuple[str, ...]) -> bool:
    return any(host.matches(text) for host in hosts for text in texts)


def _host(text: str, what: str) -> Host:
    """Return what `IP`, `IP:PORT`, `[IPv6]:PORT` or a network means."""
    host, port = text, ""
    if text.startswith("["):
        host, bracket, port = text[1:].partition("]")
        host, port = host if bracket else text, port.removeprefix(":")
    elif text.count(":") == 1:
        host, _, port = text.partition(":")
    try:
        if port and not (port.isascii() and port.isdigit() and int(port) < 65536):
            raise ValueError(port)
        return Host(ipaddress.ip_network(host, strict=False), int(port or 0))
    except ValueError:
        raise UsageError(
            f"{what}: {text!r} is no address; write IP, IP:PORT, [IPv6]:PORT or a network such as 10.244.0.0/16"
        ) from None
