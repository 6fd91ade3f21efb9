"""`userproxy cleanup`: removes every rule, route and address of ours from this host.

Parses, calls `app` and prints; the work is done there.
"""

from __future__ import annotations

from typing import Any

import click

from userproxy.cli.options import config_options, errors_for_people, read_settings, start_logging


@click.command()
@config_options("cleanup")
@errors_for_people
def cleanup(**values: Any) -> int:
    """Remove what a crashed or killed userproxy left in the kernel; nothing of other programs is touched.

    \b
    Example:
      userproxy cleanup
    """
    from userproxy.app import clean_up

    config = start_logging(read_settings(values))
    removed = clean_up(config)
    for line in removed:
        click.echo(line)
    if not removed:
        click.echo("nothing of userproxy was found")
    return 0
