"""`userproxy status`: what the running agent says about itself, on one screen.

Parses, asks the agent and prints.
"""

from __future__ import annotations

import sys
import time
from typing import Any

import click

from userproxy.admin.client import AgentClient
from userproxy.cli.options import Seconds, build_config, config_options, errors_for_people, output_option
from userproxy.cli.terminal import print_json, print_yaml
from userproxy.core.status import StatusView
from userproxy.core.summary import is_well, status_lines
from userproxy.errors import AgentError
from userproxy.logs import colour_wanted

_PAUSE = 0.2


@click.command()
@click.option(
    "--wait",
    type=Seconds(),
    default=0.0,
    metavar="DURATION",
    help="Wait so long until it is ready and healthy.",
)
@output_option("table", "json", "yaml", text="Format; json is the agent's /status.")
@config_options("status")
@errors_for_people
def status(wait: float, output: str, **values: Any) -> int:
    """Show whether the running agent is ready, its capture, watches, Services and connections.

    Exit code 1 when it is not ready or not healthy, or does not answer.

    \b
    Examples:
      userproxy status
      userproxy status --wait 30s -o json
    """
    config = build_config(values)
    view = _view(AgentClient(config.agent), wait)
    if output == "json":
        print_json(view)
    elif output == "yaml":
        print_yaml(view)
    else:
        for line in status_lines(view, colour=colour_wanted(sys.stdout)):
            click.echo(line)
    return 0 if is_well(view) else 1


def _view(agent: AgentClient, wait: float) -> StatusView:
    """Return the first view that is well, or the last one when there is none for `wait` seconds. Raises AgentError."""
    ends = time.monotonic() + wait
    while True:
        late = time.monotonic() + _PAUSE > ends
        try:
            view = agent.status()
        except AgentError:
            if late:
                raise
        else:
            if late or is_well(view):
                return view
        time.sleep(_PAUSE)
