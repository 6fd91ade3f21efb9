"""What goes to the terminal: values as JSON or YAML, and the same view again and again until Ctrl-C.

Owns the look of the output that several commands share. Chatter goes to standard error, answers to standard output.
"""

from __future__ import annotations

from typing import Any

import click
import msgspec


def print_json(value: Any) -> None:
    """Print a value as JSON that people can read too."""
    click.echo(msgspec.json.format(msgspec.json.encode(value), indent=2).decode())


def print_yaml(value: Any) -> None:
    """Print a value as YAML."""
    import yaml

    click.echo(yaml.safe_dump(msgspec.to_builtins(value), sort_keys=False, allow_unicode=True), nl=False)
