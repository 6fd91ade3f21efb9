"""The command line: one module for each sub-command.

Each parses, calls `app` or asks the running agent (`admin.client`), and prints; nothing else.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator, MutableMapping
from importlib import import_module

import click

from userproxy import __version__

CONTEXT = {"auto_envvar_prefix": "USERPROXY", "help_option_names": ["-h", "--help"], "max_content_width": 110}

MODULES = {
    "run": "run",
    "standalone": "standalone",
    "check": "check",
    "observe": "observe",
    "top": "top",
    "status": "status",
    "get": "get",
    "explain": "explain",
    "test": "connectivity",
    "cleanup": "cleanup",
    "endpoints-controller": "endpoints_controller",
}
"""Each sub-command, and the module in which a function of the module's name is the command."""


class Commands(MutableMapping[str, click.Command]):
    """The sub-commands by name, each imported when it is asked for, since a start has no use for the others."""

    def __init__(self) -> None:
        self._known: dict[str, click.Command | None] = dict.fromkeys(MODULES)

    def __getitem__(self, name: str) -> click.Command:
        command = self._known[name]
        if command is None:
            module = MODULES[name]
            command = self._known[name] = getattr(import_module(f"{__name__}.{module}"), module)
        return command

    def __setitem__(self, name: str, command: click.Command) -> None:
        self._known[name] = command

    def __delitem__(self, name: str) -> None:
        del self._known[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self._known)

    def __len__(self) -> int:
        return len(self._known)


@click.group(context_settings=CONTEXT, commands=Commands())
@click.version_option(__version__, prog_name="userproxy")
def cli() -> None:
    """Kubernetes Services on a node, in userspace.

    Every option can be set by environment variable too: `run --no-endpoints` is USERPROXY_RUN_NO_ENDPOINTS.
    """


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
