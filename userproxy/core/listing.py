"""Services, endpoints and connections as rows for a terminal, in the manner of kubectl.

Owns the columns and how values are written in them. Rows come from the views that the agent answers with; the command line
prints them.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence

import msgspec

from userproxy.core.addresses import address_text
from userproxy.core.connection_view import ConnectionView
from userproxy.core.policy import Verdict
from userproxy.core.status import EndpointView, ServicePortView, ServiceView

_NONE = "<none>"
_GAP = "   "
_STATES = {Verdict.CARRY: "carried", Verdict.DROP: "dropped", Verdict.REJECT: "refused", None: "waiting"}


class Column(msgspec.Struct, frozen=True):
    """A heading, and whether it is shown only when more is asked for (`-o wide`)."""

    heading: str
    wide: bool = False


class Row(msgspec.Struct, frozen=True):
    """The cells of one line, as many as there are columns; `name` is what `-o name` prints."""

    namespace: str
    name: str
    cells: tuple[str, ...]


SERVICE_COLUMNS = (
    Column("NAME"),
    Column("CLUSTER-IP"),
    Column("PORT"),
    Column("ENDPOINTS"),
    Column("STATE"),
    Column("OPEN"),
    Column("ACCEPTED"),
    Column("FAILED"),
    Column("ADDRESSES", wide=True),
    Column("LISTENERS", wide=True),
)
ENDPOINT_COLUMNS = (
    Column("SERVICE"),
    Column("PORT"),
    Column("ENDPOINT"),
    Column("NODE"),
    Column("CONDITION"),
    Column("USED"),
    Column("FAMILY", wide=True),
)
CONNECTION_COLUMNS = (
    Column("SERVICE"),
    Column("PORT"),
    Column("CLIENT"),
    Column("ENDPOINT"),
    Column("STATE"),
    Column("AGE"),
    Column("RECEIVED"),
    Column("SENT"),
    Column("WORKER", wide=True),
)


def selected(
    services: Iterable[ServiceView],
    namespace: str,
    name: str,
    matches: Callable[[dict[str, str]], bool] = lambda labels: True,
) -> Iterator[ServiceView]:
    """Yield the Services of a namespace (empty: of all), of a name where that is not empty, whose labels match."""
    for one in services:
        if namespace in ("", one.namespace) and name in ("", one.name) and matches(one.labels):
            yield one


def of_services(
    connections: Iterable[ConnectionView], services: Iterable[ServiceView]
) -> Iterator[ConnectionView]:
    """Yield the connections of these Services."""
    names = {(one.namespace, one.name) for one in services}
    for connection in connections:
        if (connection.namespace, connection.service) in names:
            yield connection


def service_rows(services: Iterable[ServiceView]) -> Iterator[Row]:
    """Yield a row for each Service port."""
    for service in services:
        for port in service.ports:
            counters = port.counters
            used = sum(one.in_use for one in port.endpoints)
            cells = (
                service.name,
                port.cluster_ip,
                port_text(port),
                f"{used}/{len(port.endpoints)}",
                _STATES[port.verdict],
                str(counters.active),
                str(counters.accepted),
                str(counters.failed),
                ",".join(address_text((one.address, one.port)) for one in port.frontends),
                ",".join(address_text((one.address, one.port)) for one in port.listeners if one.open),
            )
            yield Row(service.namespace, f"service/{service.name}", cells)


def endpoint_rows(services: Iterable[ServiceView]) -> Iterator[Row]:
    """Yield a row for each endpoint of each Service port."""
    for service in services:
        for port in service.ports:
            for one in port.endpoints:
                address = address_text((one.address, one.port))
                cells = (
                    service.name,
                    port_text(port),
                    address,
                    one.node,
                    condition(one),
                    "yes" if one.in_use else "no",
                    port.ip_family,
                )
                yield Row(service.namespace, f"endpoint/{address}", cells)


def connection_rows(connections: Iterable[ConnectionView]) -> Iterator[Row]:
    """Yield a row for each connection."""
    for one in connections:
        cells = (
            one.service,
            f"{one.port}/{one.protocol}" if one.port else one.protocol,
            one.client,
            one.endpoint,
            one.state,
            duration(one.age),
            amount(one.received),
            amount(one.sent),
            str(one.worker),
        )
        yield Row(one.namespace, f"connection/{one.client}", cells)


def table(
    columns: Sequence[Column], rows: Sequence[Row], *, namespaces: bool, wide: bool, headers: bool
) -> list[str]:
    """Return the lines of a table, each column as wide as it needs to be."""
    shown = [number for number, column in enumerate(columns) if wide or not column.wide]
    lines = [[columns[number].heading for number in shown]] if headers else []
    if headers and namespaces:
        lines[0].insert(0, "NAMESPACE")
    for row in rows:
        cells = [row.cells[number] or _NONE for number in shown]
        lines.append([row.namespace, *cells] if namespaces else cells)
    widths = [max(map(len, column)) for column in zip(*lines, strict=True)]
    return [
        _GAP.join(cell.ljust(width) for cell, width in zip(line, widths, strict=True)).rstrip()
        for line in lines
    ]


def port_text(port: ServicePortView) -> str:
    """Return a port as people write it: `http:80/TCP`."""
    name = f"{port.port}:" if port.port else ""
    return f"{name}{port.number}/{port.protocol}"


def condition(one: EndpointView) -> str:
    """Return what the conditions of an endpoint come to."""
    if one.terminating:
        return "terminating, serving" if one.serving else "terminating"
    return "ready" if one.ready else "not ready"


def duration(seconds: float) -> str:
    """Return an age as kubectl writes it: 5s, 3m, 2h, 4d, with two parts while the first is small."""
    whole = int(seconds)
    if whole < 120:
        return f"{whole}s"
    minutes, rest = divmod(whole, 60)
    if minutes < 120:
        return f"{minutes}m{rest}s" if minutes < 10 and rest else f"{minutes}m"
    hours, rest = divmod(minutes, 60)
    if hours < 48:
        return f"{hours}h{rest}m" if hours < 8 and rest else f"{hours}h"
    return f"{hours // 24}d"


def amount(count: int) -> str:
    """Return a number of bytes with a binary unit."""
    value, unit = float(count), "B"
    for bigger in ("KiB", "MiB", "GiB", "TiB"):
        if value < 1024:
            break
        value, unit = value / 1024, bigger
    return f"{count} B" if unit == "B" else f"{value:.1f} {unit}"
