"""Command-line options made from the fields of Config, and the error manners of every command.

Owns the bridge between click and Config. Parses, prints, nothing else.
"""

from __future__ import annotations

import dataclasses
import functools
import logging
import sys
from collections.abc import Callable
from typing import Any, TypeVar

import click

from userproxy.config import Config, flag, parse_seconds, settings_of
from userproxy.errors import UserproxyError

F = TypeVar("F", bound=Callable[..., Any])

STANDALONE_DEFAULTS = {"healthz_bind_address": "127.0.0.1:10256", "workers": "0"}
"""Without a kubelet nobody outside probes us, so nothing listens wider than it must; one process starts and ends quickest."""


class Seconds(click.ParamType[float]):
    """A duration such as 90, 1.5s, 5m."""

    name = "duration"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> float:
        """Return seconds."""
        if isinstance(value, float | int):
            return float(value)
        try:
            return parse_seconds(value)
        except ValueError:
            self.fail(f"{value!r} is not a duration; write for example 90, 1.5s, 5m or 1h30m", param, ctx)


def config_options(command: str) -> Callable[[F], F]:
    """Give a click command one option for each setting it has."""
    defaults = STANDALONE_DEFAULTS if command == "standalone" else {}

    def decorate(function: F) -> F:
        for field in reversed(settings_of(command)):
            function = _option(field, defaults.get(field.name, field.default))(function)
        return function

    return decorate


def build_config(values: dict[str, Any]) -> Config:
    """Return the Config of parsed option values. Raises UsageError."""
    return Config(**values)


def errors_for_people(function: Callable[..., int | None]) -> Callable[..., None]:
    """Turn UserproxyError into one line on standard error and the right exit code; bugs keep their traceback."""

    @functools.wraps(function)
    def wrapper(*args: Any, **kwargs: Any) -> None:
        try:
            code = function(*args, **kwargs)
        except UserproxyError as error:
            click.echo(f"userproxy: {error}", err=True)
            sys.exit(error.exit_code)
        sys.exit(code or 0)

    return wrapper


def set_up_logging(level: str) -> None:
    """Log to standard error, one line for each event."""
    logging.basicConfig(
        level=level.upper(), format="%(asctime)s %(levelname)-7s %(message)s", datefmt="%H:%M:%S", force=True
    )
    logging.getLogger("aiohttp.access").setLevel(logging.WARNING)
    logging.getLogger("asyncio").setLevel(logging.WARNING)


def _option(field: dataclasses.Field[Any], default: Any) -> Callable[[F], F]:
    meta = field.metadata
    shown = {"help": meta["text"], "show_default": default not in ("", False, 0)}
    if isinstance(default, bool):
        return click.option(
            f"{flag(field.name)}/--no-{flag(field.name)[2:]}", field.name, default=default, help=meta["text"]
        )
    kind: click.ParamType[Any] = click.STRING
    if meta["seconds"]:
        kind = Seconds()
    elif meta["choices"]:
        kind = click.Choice(meta["choices"])
    elif isinstance(default, int):
        kind = click.INT
    return click.option(
        flag(field.name), field.name, type=kind, default=default, metavar=meta["metavar"] or None, **shown
    )
