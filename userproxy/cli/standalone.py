"""`userproxy standalone`: Services without any cluster, and the demo.

Parses, calls `app` and prints the table of Services with a command that works; the work is done there.
"""

from __future__ import annotations

from typing import Any

import click

from userproxy.cli.options import config_options, errors_for_people, read_settings, start_logging


@click.command()
@config_options("standalone")
@errors_for_people
def standalone(**values: Any) -> int:
    """Run an API server and the proxy in one process, without any cluster.

    \b
    Examples:
      userproxy standalone --demo
      userproxy standalone --manifests ./services
    """
    from userproxy.app import run_standalone

    settings = read_settings(values)
    start_logging(settings)
    return run_standalone(settings, click.echo)
