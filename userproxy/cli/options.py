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
from click.core import ParameterSource

from userproxy.config import Config, settings_of
from userproxy.configfile.kube_proxy_flags import BOOLEAN, FIELD_OF_FLAG, REFUSED, read_flags
from userproxy.configfile.source import Settings, SettingsSource
from userproxy.errors import UserproxyError
from userproxy.logs import set_up
from userproxy.setting import flag, parse_seconds

log = logging.getLogger(__name__)

F = TypeVar("F", bound=Callable[..., Any])

STANDALONE_DEFAULTS = {"healthz_bind_address": "127.0.0.1:10256", "workers": "0"}
"""Without a kubelet nobody outside probes us, so nothing listens wider than it must; one process starts and ends quickest."""


KUBE_PROXY_FLAGS = f"{__name__}.kube_proxy_flags"
"""Where click's context keeps the flags of kube-proxy that were given."""

_GIVEN = frozenset({ParameterSource.COMMANDLINE, ParameterSource.ENVIRONMENT})


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


def output_option(*formats: str, text: str = "Format.") -> Callable[[F], F]:
    """Give a click command -o with these formats; the first is the default."""
    return click.option(
        "-o", "--output", type=click.Choice(formats), default=formats[0], show_default=True, help=text
    )


def kube_proxy_options(function: F) -> F:
    """Give a click command the flags of kube-proxy too, so that its command line works as it is; hidden from --help."""
    for name in (*FIELD_OF_FLAG, *REFUSED):
        names = (f"--{name}", "-v") if name == "v" else (f"--{name}",)
        optional: dict[str, Any] = {"is_flag": False, "flag_value": "true"} if name in BOOLEAN else {}
        function = click.option(
            *names,
            hidden=True,
            expose_value=False,
            allow_from_autoenv=False,
            callback=functools.partial(_remember, name),
            **optional,
        )(function)
    return function


def _remember(name: str, context: click.Context, parameter: click.Parameter, value: str | None) -> None:
    if value is not None:
        # Go's flags may be written -v=2
        context.meta.setdefault(KUBE_PROXY_FLAGS, {})[name] = value.removeprefix("=")


def read_settings(values: dict[str, Any]) -> Settings:
    """Return the settings of a command: its parsed option values merged with the configuration file. Raises UsageError."""
    context = click.get_current_context()
    command = context.command.name or ""
    given = {name: value for name, value in values.items() if context.get_parameter_source(name) in _GIVEN}
    from_kube_proxy, notes = read_flags(context.meta.get(KUBE_PROXY_FLAGS, {}))
    defaults = {name: value for name, value in values.items() if name not in given}
    source = SettingsSource(command, values.get("config", ""), {**from_kube_proxy, **given}, defaults, notes)
    return source.read()


def build_config(values: dict[str, Any]) -> Config:
    """Return the Config of a command that does not follow its configuration file. Raises UsageError."""
    return read_settings(values).config


def start_logging(settings: Settings) -> Config:
    """Set logging up as the settings say and log what had no effect in them; returns the Config."""
    set_up_logging(settings.config.log_level, settings.config.log_format)
    for note in settings.notes:
        log.info("%s", note)
    return settings.config


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


def set_up_logging(level: str, log_format: str = "text") -> None:
    """Log to standard error, one line for each event."""
    set_up(level, log_format)


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
