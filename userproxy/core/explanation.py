"""The answer to `userproxy explain`: why traffic goes where it goes, as data and as text.

Owns the shape (JSON keys are the field names) and its lines for a person. How it is found out is `core.explain`'s work.
"""

from __future__ import annotations

from collections.abc import Iterator

import msgspec

from userproxy.model import FrontendKind, Scope


class FrontendReason(msgspec.Struct, frozen=True):
    """An address that clients reach, and what brings its packets to the listener."""

    address: str
    kind: FrontendKind
    capture: str


class Way(msgspec.Struct, frozen=True):
    """What clients meet who come by one kind of address."""

    scope: Scope
    frontends: tuple[FrontendReason, ...]
    policy: str
    outcome: str
    """`carried`, `dropped`, `refused`, or `depends` where it depends on the client"""
    why: str
    local: bool = False
    """the endpoints of this node are taken"""


class EndpointReason(msgspec.Struct, frozen=True):
    """An endpoint, and why it is in or out."""

    address: str
    node: str
    used: bool
    why: str


class WorkerTurns(msgspec.Struct, frozen=True):
    """Endpoints in the order in which one worker takes them next."""

    worker: int
    cluster: tuple[str, ...]
    local: tuple[str, ...]


class PortExplanation(msgspec.Struct, frozen=True):
    """One Service port on one IP family."""

    name: str
    ip_family: str
    address: str
    """the ClusterIP with the port"""
    ways: tuple[Way, ...]
    hints: str
    endpoints: tuple[EndpointReason, ...]
    settings: tuple[str, ...] = ()
    """what its annotations and its session affinity ask for"""
    turns: tuple[WorkerTurns, ...] = ()
    failures: tuple[str, ...] = ()
    advice: tuple[str, ...] = ()


class Explanation(msgspec.Struct, frozen=True):
    """The whole answer; without ports, `advice` says what to do."""

    target: str
    source: str
    answer: str
    """one line"""
    ports: tuple[PortExplanation, ...] = ()
    advice: tuple[str, ...] = ()


_MOST_ENDPOINTS = 20
_MOST_TURNS = 4
_SIGN = {True: "√", False: "×"}


def explanation_lines(explanation: Explanation) -> Iterator[str]:
    """Yield the text for a person."""
    client = f" for a client at {explanation.source}" if explanation.source else ""
    yield f"{explanation.target}{client}: {explanation.answer}"
    yield from (f"  → {line}" for line in explanation.advice)
    for port in explanation.ports:
        yield ""
        yield from _port_lines(port)


def _port_lines(port: PortExplanation) -> Iterator[str]:
    yield f"Service port {port.name} ({port.ip_family}), ClusterIP {port.address}"
    for way in port.ways:
        for frontend in way.frontends:
            yield f"  {frontend.kind.value} {frontend.address}: {frontend.capture}"
        yield f"    {way.policy}"
        yield f"    {way.outcome}: {way.why}"
    yield f"  hints: {port.hints}"
    yield from (f"  {line}" for line in port.settings)
    yield f"  endpoints: {len(port.endpoints)} known, {sum(one.used for one in port.endpoints)} in use"
    for one in port.endpoints[:_MOST_ENDPOINTS]:
        place = f" on {one.node}" if one.node else ""
        yield f"    {_SIGN[one.used]} {one.address}{place}: {one.why}"
    if len(port.endpoints) > _MOST_ENDPOINTS:
        yield f"    and {len(port.endpoints) - _MOST_ENDPOINTS} more (-o json lists all)"
    for turn in port.turns:
        for label, ring in (("next", turn.cluster), ("next of this node", turn.local)):
            if ring:
                more = ", ..." if len(ring) > _MOST_TURNS else ""
                yield f"  {label} (worker {turn.worker}): {', '.join(ring[:_MOST_TURNS])}{more}"
    yield from (f"  failed: {line}" for line in port.failures)
    yield from (f"  → {line}" for line in port.advice)
