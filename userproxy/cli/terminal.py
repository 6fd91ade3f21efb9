"""What goes to the terminal: colours where they are wanted, and values as JSON or YAML.

Owns the look of the output that several commands share. Chatter goes to standard error, answers to standard output.
"""

from __future__ import annotations

from typing import Any

import click
import msgspec


def print_json(value: Any) -> None:
    """Print a value as JSON that people can read too."""
    click.echo(msgspec.json.format(msgspec.json.encode(value), indent=2).decode())
