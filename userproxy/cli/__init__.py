"""The command line: one module for each sub-command.

Each parses, calls `app` or asks the running agent (`admin.client`), and prints; nothing else.
"""

from __future__ import annotations

import sys

import click

from userproxy import __version__
from userproxy.cli.check import check
from userproxy.cli.cleanup import cleanup
from userproxy.cli.connectivity import connectivity
from userproxy.cli.endpoints_controller import endpoints_controller
from userproxy.cli.explain import explain
from userproxy.cli.get import get
from userproxy.cli.observe import observe
from userproxy.cli.run import run
from userproxy.cli.standalone import standalone
from userproxy.cli.status import status
from userproxy.cli.top import top

CONTEXT = {"auto_envvar_prefix": "USERPROXY", "help_option_names": ["-h", "--help"], "max_content_width": 110}


@click.group(context_settings=CONTEXT)
@click.version_option(__version__, prog_name="userproxy")
def cli() -> None:
    """Kubernetes Services on a node, in userspace.

    Every option can be set by environment variable too: `run --no-endpoints` is USERPROXY_RUN_NO_ENDPOINTS.
    """


cli.add_command(run)
cli.add_command(standalone)
cli.add_command(check)
cli.add_command(observe)
cli.add_command(top)
cli.add_command(status)
cli.add_command(get)
cli.add_command(explain)
cli.add_command(connectivity)
cli.add_command(cleanup)
cli.add_command(endpoints_controller)


def main() -> None:
    """Entry point of the `userproxy` program: exit code 0, 1 for failures, 2 for wrong usage."""
    try:
        cli.main(standalone_mode=False)
    except click.exceptions.Exit as stop:
        sys.exit(stop.exit_code)
    except click.Abort:
        sys.exit(130)
    except click.UsageError as error:
        where = error.ctx.command_path if error.ctx else "userproxy"
        # Some of click's messages list choices on lines of their own.
        message = " ".join(error.format_message().split()).rstrip(".")
        click.echo(f"userproxy: {message}; see `{where} --help`", err=True)
        sys.exit(2)
    except click.ClickException as error:
        click.echo(f"userproxy: {error.format_message()}", err=True)
        sys.exit(1)
