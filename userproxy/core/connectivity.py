"""What `userproxy test` tries, and what the outcomes mean.

Owns the choice of trials from an agent's status, and the table of results. Connections are made by `connectivity`.
"""

from __future__ import annotations

import enum
import ipaddress
from collections.abc import Iterable, Iterator, Sequence

import msgspec

from userproxy.core.addresses import address_text
from userproxy.core.listing import Column, Row, port_text, table
from userproxy.core.policy import Verdict
from userproxy.core.status import FrontendView, ServicePortView, ServiceView
from userproxy.model import Address, FrontendKind

KINDS = (FrontendKind.CLUSTER_IP, FrontendKind.LOOPBACK, FrontendKind.NODE_PORT)
"""Frontends that are tried; external and load-balancer addresses may be kept from this host by policy."""

_NODE_PORT_ADDRESSES = 2
"""of each family, that one node port is tried at"""


class Outcome(enum.Enum):
    """How a trial ended; only FAILED makes the whole fail."""

    OK = "ok"
    FAILED = "failed"
    UNANSWERED = "unanswered"
    """UDP: nobody need answer an empty datagram, so this says neither"""
    SKIPPED = "skipped"


SIGNS = {Outcome.OK: "√", Outcome.FAILED: "×", Outcome.UNANSWERED: "‼", Outcome.SKIPPED: "-"}


class Trial(msgspec.Struct, frozen=True):
    """One address to try. `skip` is why it is not tried."""

    namespace: str
    service: str
    port: str
    protocol: str
    ip_family: str
    kind: str
    host: str
    number: int
    affinity: bool = False
    """a second connection must reach the same endpoint"""
    skip: str = ""

    @property
    def address(self) -> Address:
        """What connect() takes."""
        return (self.host, self.number)

    @property
    def of(self) -> tuple[str, str]:
        """The Service."""
        return (self.namespace, self.service)


class Result(msgspec.Struct, frozen=True):
    """How a trial ended, from where, and in how many seconds."""

    trial: Trial
    source: str
    outcome: Outcome
    detail: str
    seconds: float = 0.0


class ConnectivityReport(msgspec.Struct, frozen=True):
    """The whole answer in JSON."""

    passed: bool
    results: tuple[Result, ...]


def trials(services: Iterable[ServiceView]) -> Iterator[Trial]:
    """Yield what to try for each Service port."""
    for service in services:
        for port in service.ports:
            chosen = list(_frontends(port))
            for frontend in chosen:
                yield _trial(service, port, frontend.kind.value, frontend.address, frontend.port)
            if not chosen:
                yield _trial(service, port, FrontendKind.CLUSTER_IP.value, port.cluster_ip, port.number)


def _frontends(port: ServicePortView) -> Iterator[FrontendView]:
    """Yield the frontends to try; of a node port's many addresses a few, those that are not loopback first."""
    node_ports = [one for one in port.frontends if one.kind is FrontendKind.NODE_PORT]
    node_ports.sort(key=lambda one: ipaddress.ip_address(one.address).is_loopback)
    for one in port.frontends:
        if one.kind in KINDS and one not in node_ports[_NODE_PORT_ADDRESSES:]:
            yield one


def _trial(service: ServiceView, port: ServicePortView, kind: str, host: str, number: int) -> Trial:
    return Trial(
        service.namespace,
        service.name,
        port_text(port),
        port.protocol,
        port.ip_family,
        kind,
        host,
        number,
        bool(port.affinity_seconds),
        _why_skipped(port),
    )


def _why_skipped(port: ServicePortView) -> str:
    if port.protocol not in ("TCP", "UDP"):
        return f"{port.protocol} is not served"
    if not port.frontends:
        return "not captured on this host"
    if port.verdict is not Verdict.CARRY:
        return "no endpoint is usable; `userproxy explain` says why"
    return ""


def without_loopback(trial: Trial) -> Trial:
    """Return a trial for a client that is not on this host, whose loopback addresses it cannot reach."""
    if trial.skip or not ipaddress.ip_address(trial.host).is_loopback:
        return trial
    return msgspec.structs.replace(trial, skip="loopback addresses are of the host only")


def passed(results: Iterable[Result]) -> bool:
    """Return whether nothing failed."""
    return all(one.outcome is not Outcome.FAILED for one in results)


def report(results: Sequence[Result]) -> ConnectivityReport:
    """Return what `-o json` shows."""
    return ConnectivityReport(passed(results), tuple(results))


_COLUMNS = tuple(
    Column(heading)
    for heading in ("", "SERVICE", "PORT", "KIND", "ADDRESS", "FAMILY", "FROM", "TIME", "RESULT")
)


def result_lines(results: Sequence[Result]) -> Iterator[str]:
    """Yield the table and a last line with the sum."""
    rows = [
        Row(
            one.trial.namespace,
            one.trial.service,
            (
                SIGNS[one.outcome],
                f"{one.trial.namespace}/{one.trial.service}" if one.trial.namespace else one.trial.service,
                one.trial.port,
                one.trial.kind,
                address_text(one.trial.address),
                one.trial.ip_family,
                one.source,
                f"{one.seconds * 1000:.0f} ms" if one.seconds else "-",
                one.detail,
            ),
        )
        for one in results
    ]
    if rows:
        yield from table(_COLUMNS, rows, namespaces=False, wide=False, headers=True)
        yield ""
    counts = {outcome: sum(one.outcome is outcome for one in results) for outcome in Outcome}
    told = ", ".join(f"{count} {outcome.value}" for outcome, count in counts.items() if count)
    yield f"{len(results)} tests: {told or 'there is nothing to try'}"
