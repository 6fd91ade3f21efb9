"""`userproxy test`: does traffic for each Service arrive, tried with real connections.

Parses, calls `app` and prints; the work is done there.
"""

from __future__ import annotations

from typing import Any

import click

from userproxy.cli.options import (
    Seconds,
    build_config,
    config_options,
    errors_for_people,
    output_option,
    set_up_logging,
)
from userproxy.cli.terminal import print_json
from userproxy.core.connectivity import passed, report, result_lines


@click.command("test")
@click.argument("targets", nargs=-1, metavar="[ADDRESS:PORT]...")
@click.option("--service", multiple=True, metavar="[NS/]NAME", help="Only this Service.")
@click.option(
    "--pod",
    is_flag=True,
    help="Ask no agent: try the given addresses, or the Service kubernetes as a Pod finds it (environment and DNS).",
)
@click.option(
    "--from",
    "source",
    type=click.Choice(("host", "namespace", "both")),
    default="host",
    show_default=True,
    help="Where clients are: on this host, or in a network namespace like a Pod's (root; gone afterwards).",
)
@click.option(
    "--timeout",
    type=Seconds(),
    default=5.0,
    show_default=True,
    metavar="DURATION",
    help="Of each connection.",
)
@output_option("table", "json")
@config_options("test")
@errors_for_people
def connectivity(
    targets: tuple[str, ...],
    service: tuple[str, ...],
    pod: bool,
    source: str,
    timeout: float,
    output: str,
    **values: Any,
) -> int:
    """Try every Service port of the running agent: ClusterIP and node ports, TCP and UDP, IPv4 and IPv6, session affinity.

    TCP counts when the agent lists the connection as carried to an endpoint; nothing is sent over it. UDP gets an empty
    datagram (port 53 a DNS question), which need not be answered. Exit code 1 when something failed.

    \b
    Examples:
      userproxy test
      userproxy test --service my-service --from both -o json
      userproxy test --pod 10.96.163.26:80
    """
    from userproxy.app import test_connectivity

    config = build_config(values)
    set_up_logging("error")
    results = test_connectivity(config, targets, service, pod=pod, source=source, seconds=timeout)
    if output == "json":
        print_json(report(results))
    else:
        for line in result_lines(results):
            click.echo(line)
    return 0 if passed(results) else 1
