"""`userproxy explain`: why traffic for an address goes where it goes.

Parses, asks the agent and prints; the reasons are made in the agent (`core.explain`).
"""

from __future__ import annotations

from typing import Any
from urllib.parse import urlencode

import click

from userproxy.admin.client import AgentClient
from userproxy.cli.options import build_config, config_options, errors_for_people, output_option
from userproxy.cli.terminal import print_json
from userproxy.core.explanation import Explanation, explanation_lines
from userproxy.core.target import parse_source, parse_target


@click.command()
@click.argument("target")
@click.option(
    "--from", "source", default="", metavar="IP", help="Address of the client whose traffic is meant."
)
@output_option("text", "json")
@config_options("explain")
@errors_for_people
def explain(target: str, source: str, output: str, **values: Any) -> int:
    """Explain why traffic for TARGET goes where it goes, or nowhere, and what to do about it.

    TARGET is ADDRESS:PORT (with /udp behind it for UDP), svc/NAME[.NAMESPACE] or NAMESPACE/NAME, a Service with :PORT
    behind it for one of its ports. Exit code 1 when no Service port is meant by it.

    \b
    Examples:
      userproxy explain 10.96.163.26:80
      userproxy explain svc/my-service.default --from 10.0.0.7
      userproxy explain default/my-service:80 -o json
    """
    config = build_config(values)
    parse_target(target)
    query = urlencode({"target": target, "from": parse_source(source)})
    explanation = AgentClient(config.agent).ask(f"/explain?{query}", Explanation)
    if output == "json":
        print_json(explanation)
    else:
        for line in explanation_lines(explanation):
            click.echo(line)
    return 0 if explanation.ports else 1
