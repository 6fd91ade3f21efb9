"""`userproxy check`: is everything here that userproxy needs, and does the running agent work?

Parses, calls `app` and prints; the work is done there.
"""

from __future__ import annotations

import sys
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
from userproxy.core.findings import passed, report, report_lines, selection
from userproxy.logs import colour_wanted


@click.command()
@click.option("--pre", is_flag=True, help="Before an installation: leave out the API server and the agent.")
@click.option(
    "--only",
    multiple=True,
    metavar="CHECK",
    help="Run these only: a category (host) or a name (host/kernel).",
)
@click.option("--skip", multiple=True, metavar="CHECK", help="Leave these out.")
@click.option(
    "--wait",
    type=Seconds(),
    default=0.0,
    metavar="DURATION",
    help="Try again for so long while something fails.",
)
@output_option("table", "json")
@config_options("check")
@errors_for_people
def check(
    pre: bool,
    only: tuple[str, ...],
    skip: tuple[str, ...],
    wait: float,
    output: str,
    **values: Any,
) -> int:
    """Check this host, the API server and the running agent; every finding says what to do.

    Capture is tried for real: a test address, a rule, a connection, all undone within milliseconds. Exit code 1 when
    something failed; warnings do not count.

    \b
    Examples:
      userproxy check --pre
      userproxy check --only agent --wait 30s
      userproxy check --skip api --skip capture -o json
    """
    from userproxy.app import check as run_checks

    selected = selection(_words(only), _words(skip), pre=pre)
    config = build_config(values)
    set_up_logging("error")
    findings = run_checks(config, selected, wait)
    if output == "json":
        print_json(report(findings))
    else:
        for line in report_lines(findings, colour=colour_wanted(sys.stdout)):
            click.echo(line)
    return 0 if passed(findings) else 1


def _words(values: tuple[str, ...]) -> list[str]:
    """Return the words of an option that may be given several times, and several at once with commas."""
    return [word for value in values for word in value.split(",") if word]
