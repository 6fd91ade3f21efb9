"""Events as people and programs see them: what happened to a connection, to a Service port, to the proxy.

Owns their shape (JSON keys are the field names; a line of JSON decodes to the same event), their words and their one-line
text. Kernel verdicts have no events of their own: a connection that is dropped or rejected is never accepted, so what is seen
is the change to that verdict. Which events somebody wants is `core.event_filter`'s business.
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime
from typing import TypeAlias

import msgspec

from userproxy.core.addresses import address_text
from userproxy.core.flows import Flow
from userproxy.model import Family, PortKey

VERDICTS = {
    "carried": "an endpoint took the connection: opened, closed or reset",
    "opened": "carried for a second and going on, or the first answer to a UDP flow; seen only while somebody follows",
    "closed": "carried and ended in order; of UDP: idle for too long",
    "reset": "ended by a reset: of the client, of the endpoint, or by a time limit",
    "retried": "at least one endpoint did not answer before",
    "refused": "reset because no endpoint took it",
    "drop": "a Service port has no usable endpoint: connections are dropped from now on",
    "reject": "a Service port has no usable endpoint: connections are refused from now on",
    "carry": "a Service port has usable endpoints: connections are carried from now on",
    "change": "endpoints, Services, capture or workers changed",
}
"""What `--verdict` understands, with its meaning."""


class ConnectionEvent(msgspec.Struct, frozen=True, tag_field="type", tag="connection", kw_only=True):
    """One connection at one moment, mostly its end."""

    time: datetime
    verdict: str
    """opened, closed, reset or refused"""
    client: str
    namespace: str
    service: str
    port: str = ""
    protocol: str = "TCP"
    ip_family: str = "IPv4"
    endpoint: str = ""
    """the one that carries it, or the last one that was tried"""
    reason: str = ""
    """why it was reset, or why endpoints were tried in vain"""
    failed: tuple[str, ...] = ()
    """endpoints that were tried in vain, in order"""
    opened: datetime
    """when it was accepted"""
    seconds: float
    """from then to `time`"""
    waited: float = 0.0
    """seconds that went to endpoints that did not answer"""
    received: int = 0
    """bytes from the client"""
    sent: int = 0
    """bytes to the client"""
    sample: int = 1
    """connections this event stands for: more than 1 when there are too many to record each"""


class ChangeEvent(msgspec.Struct, frozen=True, tag_field="type", tag="change", kw_only=True):
    """Something changed that connections depend on."""

    time: datetime
    kind: str
    """endpoint-added, endpoint-removed, endpoints, verdict, service-added, service-removed, services, listener, capture or
    worker"""
    message: str
    namespace: str = ""
    service: str = ""
    port: str = ""
    protocol: str = ""
    ip_family: str = ""
    endpoint: str = ""
    verdict: str = ""
    """for kinds verdict and service-added: carry, drop or reject"""


class LostEvent(msgspec.Struct, frozen=True, tag_field="type", tag="lost", kw_only=True):
    """Events are missing here: they came faster than they could be kept or read."""

    time: datetime
    count: int


Event: TypeAlias = ConnectionEvent | ChangeEvent | LostEvent

encode_event = msgspec.json.Encoder().encode
_decoder: msgspec.json.Decoder[Event] = msgspec.json.Decoder(Event)


def decode_event(line: bytes) -> Event:
    """Return the event that a line of JSON holds. Raises msgspec.ValidationError or msgspec.DecodeError."""
    return _decoder.decode(line)


def connection_event(flow: Flow, at: Callable[[float], datetime]) -> ConnectionEvent:
    """Return a record of the data plane as an event; `at` turns monotonic seconds into UTC."""
    name = flow.key.name
    tried = bool(flow.failed)
    return ConnectionEvent(
        time=at(flow.at),
        verdict=flow.outcome.value,
        client=address_text(flow.client),
        namespace=name.namespace,
        service=name.name,
        port=name.port,
        protocol=name.protocol,
        ip_family=_family_name(flow.key.family),
        endpoint=address_text(flow.endpoint) if flow.endpoint else "",
        reason=flow.reason,
        failed=tuple(address_text(address) for address in flow.failed),
        opened=at(flow.opened),
        seconds=round(flow.at - flow.opened, 6),
        waited=round(flow.dialled - flow.opened, 6) if tried else 0.0,
        received=flow.received,
        sent=flow.sent,
        sample=flow.weight,
    )


def change_event(
    kind: str, message: str, time: datetime, key: PortKey | None = None, endpoint: str = "", verdict: str = ""
) -> ChangeEvent:
    """Return a change, of a Service port when `key` is given."""
    if key is None:
        return ChangeEvent(time=time, kind=kind, message=message, endpoint=endpoint, verdict=verdict)
    name = key.name
    return ChangeEvent(
        time=time,
        kind=kind,
        message=message,
        namespace=name.namespace,
        service=name.name,
        port=name.port,
        protocol=name.protocol,
        ip_family=_family_name(key.family),
        endpoint=endpoint,
        verdict=verdict,
    )


def event_line(event: Event) -> str:
    """Return an event as one line for people: no control character of whatever it names gets through."""
    clock = event.time.strftime("%H:%M:%S.") + f"{event.time.microsecond // 1000:03d}"
    if isinstance(event, ConnectionEvent):
        text = _connection_text(event)
    elif isinstance(event, ChangeEvent):
        where = f"{service_text(event)}  " if event.service else ""
        label = event.verdict if event.kind == "verdict" else "change"
        text = f"{label.upper():<8} {where}{event.message}"
    else:
        text = f"{'LOST':<8} {event.count} events came faster than they could be kept or read"
    line = f"{clock} {text}"
    return (
        line
        if line.isprintable()
        else "".join(c if c.isprintable() else "\N{REPLACEMENT CHARACTER}" for c in line)
    )


def service_text(event: ConnectionEvent | ChangeEvent) -> str:
    """Return the Service port of an event as `namespace/name:port`."""
    port = f":{event.port}" if event.port else ""
    protocol = "" if event.protocol in ("TCP", "") else f"/{event.protocol.lower()}"
    return f"{event.namespace}/{event.service}{port}{protocol}"


def size_text(count: float) -> str:
    """Return a number of bytes in three digits: `999B`, `1.2KB`, `34MB`."""
    for unit in ("B", "KB", "MB", "GB"):
        if count < 999.5:
            return f"{count:.0f}{unit}" if unit == "B" or count >= 9.95 else f"{count:.1f}{unit}"
        count /= 1000
    return f"{count:.1f}TB"


def seconds_text(seconds: float) -> str:
    """Return a duration in a handful of characters: `0.4ms`, `12ms`, `3.1s`, `2h05m`."""
    if seconds < 0.00995:
        return f"{seconds * 1000:.1f}ms"
    if seconds < 0.9995:
        return f"{seconds * 1000:.0f}ms"
    if seconds < 99.95:
        return f"{seconds:.1f}s"
    minutes = round(seconds / 60)
    return f"{minutes}m" if minutes < 100 else f"{minutes // 60}h{minutes % 60:02d}m"


def _connection_text(event: ConnectionEvent) -> str:
    refused = event.verdict == "refused"
    endpoint = f" -> {event.endpoint}" if event.endpoint and not refused else ""
    moved = (
        f"  {size_text(event.received)} in {size_text(event.sent)} out"
        if event.endpoint and not refused
        else ""
    )
    notes = []
    if event.failed:
        waited = f" in {seconds_text(event.waited)}" if event.waited >= 0.001 else ""
        notes.append(f"{'tried' if refused else 'retried after'} {', '.join(event.failed)}{waited}")
    if event.reason:
        notes.append(event.reason)
    if event.sample > 1:
        notes.append(f"1 of {event.sample}")
    detail = f"  ({'; '.join(notes)})" if notes else ""
    return (
        f"{event.verdict.upper():<8} {event.client} -> {service_text(event)}{endpoint}"
        f"  {seconds_text(event.seconds)}{moved}{detail}"
    )


def _family_name(family: Family) -> str:
    return "IPv6" if family is Family.IPV6 else "IPv4"
