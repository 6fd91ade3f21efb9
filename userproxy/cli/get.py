"""`userproxy get`: Services, endpoints and connections of the running agent, in the manner of kubectl.

Parses, asks the agent and prints.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from functools import partial
from typing import Any
from urllib.parse import urlencode

import click
import msgspec

from userproxy.admin.client import AgentClient
from userproxy.cli.options import build_config, config_options, errors_for_people, output_option
from userproxy.cli.terminal import print_json, print_yaml
from userproxy.core import listing
from userproxy.core.connection_view import ConnectionsView
from userproxy.core.listing import Column, Row
from userproxy.errors import AgentError, UsageError
from userproxy.standalone.selectors import Requirement, matches_labels, parse_labels
from userproxy.standalone.statuses import Refusal

KINDS = {
    "services": "services",
    "service": "services",
    "svc": "services",
    "endpoints": "endpoints",
    "endpoint": "endpoints",
    "ep": "endpoints",
    "connections": "connections",
    "connection": "connections",
    "conn": "connections",
}
_PAUSE = 1.0


class Found(msgspec.Struct, frozen=True):
    """What there is of one kind: the rows for people, and the values for programs."""

    columns: tuple[Column, ...]
    rows: tuple[Row, ...]
    values: Any


@click.command()
@click.argument("kind", type=click.Choice(tuple(KINDS)), metavar="KIND")
@click.argument("name", required=False, default="")
@click.option("-n", "--namespace", default="default", show_default=True, metavar="NAME", help="Namespace.")
@click.option("-A", "--all-namespaces", is_flag=True, help="Of all namespaces.")
@click.option(
    "-l", "--selector", default="", metavar="LABELS", help="Of Services with these labels, as in kubectl."
)
@output_option("table", "wide", "json", "yaml", "name")
@click.option("-w", "--watch", is_flag=True, help="Go on and show what changes, until Ctrl-C.")
@click.option("--no-headers", is_flag=True, help="Without headings.")
@config_options("get")
@errors_for_people
def get(
    kind: str,
    name: str,
    namespace: str,
    all_namespaces: bool,
    selector: str,
    output: str,
    watch: bool,
    no_headers: bool,
    **values: Any,
) -> int:
    """Show what the running agent serves: KIND is services (svc), endpoints (ep) or connections (conn).

    NAME is that of a Service. Of connections the newest 1,000 are listed.

    \b
    Examples:
      userproxy get services
      userproxy get endpoints my-service -o wide
      userproxy get services -A -l tier!=test
      userproxy get connections -A -o json
    """
    agent = AgentClient(build_config(values).agent)
    wanted = "" if all_namespaces else namespace
    labels = _labels(selector)
    found = _ask(agent, KINDS[kind], wanted, name, labels)
    if name and not found.rows and not watch:
        raise AgentError(
            f"there are no {KINDS[kind]} of Service {wanted or '*'}/{name}; `userproxy get services -A` lists all"
        )
    _show(found, output, namespaces=all_namespaces, headers=not no_headers, namespace=wanted)
    while watch:
        time.sleep(_PAUSE)
        before, found = found, _ask(agent, KINDS[kind], wanted, name, labels)
        if output in ("json", "yaml"):
            changed = found if found.values != before.values else None
        else:
            rows = tuple(row for row in found.rows if row not in before.rows)
            changed = msgspec.structs.replace(found, rows=rows) if rows else None
        if changed is not None:
            _show(changed, output, namespaces=all_namespaces, headers=False, namespace=wanted)
    return 0


def _labels(selector: str) -> tuple[Requirement, ...]:
    try:
        return parse_labels(selector)
    except Refusal as error:
        raise UsageError(f"--selector: {error}") from error


def _ask(agent: AgentClient, kind: str, namespace: str, name: str, labels: tuple[Requirement, ...]) -> Found:
    if kind == "connections":
        query = urlencode({"namespace": namespace, "service": name})
        answer = agent.ask(f"/connections?{query}", ConnectionsView)
        if labels:
            named = listing.selected(
                agent.status().services, namespace, name, partial(matches_labels, labels)
            )
            chosen = tuple(listing.of_services(answer.connections, named))
            answer = msgspec.structs.replace(answer, connections=chosen)
        return Found(listing.CONNECTION_COLUMNS, tuple(listing.connection_rows(answer.connections)), answer)
    services = tuple(
        listing.selected(agent.status().services, namespace, name, partial(matches_labels, labels))
    )
    if kind == "services":
        return Found(listing.SERVICE_COLUMNS, tuple(listing.service_rows(services)), services)
    return Found(listing.ENDPOINT_COLUMNS, tuple(listing.endpoint_rows(services)), services)


def _show(found: Found, output: str, *, namespaces: bool, headers: bool, namespace: str) -> None:
    if output == "json":
        print_json(found.values)
    elif output == "yaml":
        print_yaml(found.values)
    elif output == "name":
        _lines(list(dict.fromkeys(row.name for row in found.rows)))
    elif found.rows:
        wide = output == "wide"
        _lines(listing.table(found.columns, found.rows, namespaces=namespaces, wide=wide, headers=headers))
    else:
        where = f" in namespace {namespace}" if namespace else ""
        click.echo(f"No resources found{where}.", err=True)


def _lines(lines: Sequence[str]) -> None:
    for line in lines:
        click.echo(line)
