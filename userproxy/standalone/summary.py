"""The table of Services for a terminal, in the manner of kubectl: plain text, columns as wide as they need to be.

Pure: whoever knows Services, addresses and endpoints gives rows and gets text.
"""

from __future__ import annotations

from collections.abc import Sequence

import msgspec

HEADINGS = ("NAMESPACE", "NAME", "CLUSTER-IP", "PORT(S)", "ADDRESS", "ENDPOINTS")
_GAP = "   "
_NONE = "<none>"
_MOST_ENDPOINTS = 3


class ServiceRow(msgspec.Struct, frozen=True):
    """One Service port as people see it.

    `ports` is such as `80/TCP`, `address` is where this machine's users connect (`10.96.163.26:80`, `127.96.163.26:8080`),
    `endpoints` are `address:port` texts.
    """

    namespace: str
    name: str
    cluster_ip: str
    ports: str
    address: str
    endpoints: tuple[str, ...] = ()


def services_table(rows: Sequence[ServiceRow]) -> str:
    """Return the table with its headings, each line ended; `No resources found` when there are no rows."""
    if not rows:
        return "No resources found\n"
    lines = [
        HEADINGS,
        *(_cells(row) for row in sorted(rows, key=lambda row: (row.namespace, row.name, row.ports))),
    ]
    widths = [max(len(line[column]) for line in lines) for column in range(len(HEADINGS))]
    text = ""
    for line in lines:
        cells = [cell.ljust(width) for cell, width in zip(line, widths, strict=True)]
        text += _GAP.join(cells).rstrip() + "\n"
    return text


def _cells(row: ServiceRow) -> tuple[str, ...]:
    fields = (row.namespace, row.name, row.cluster_ip, row.ports, row.address, _endpoints(row.endpoints))
    return tuple(field or _NONE for field in fields)


def _endpoints(endpoints: Sequence[str]) -> str:
    shown = ",".join(endpoints[:_MOST_ENDPOINTS])
    more = len(endpoints) - _MOST_ENDPOINTS
    return f"{shown} + {more} more..." if more > 0 else shown
