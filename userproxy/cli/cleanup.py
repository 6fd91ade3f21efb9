"""`userproxy cleanup`: removes every rule, route and address of ours from this host.

Parses, calls `app` and prints; the work is done there.
"""

from __future__ import annotations

from typing import Any

import click

from userproxy.cli.options import build_config, config_options, errors_for_people, set_up_logging


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

    config = build_config(values)
    set_up_logging(config.log_level)
    removed = clean_up(config)
    for line in removed:
        click.echo(line)
    if not removed:
        click.echo("nothing of userproxy was found")
    return 0
