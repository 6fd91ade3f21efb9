"""How a setting is written down: a documented field, the commands that have its flag, and times as text.

Owns the form only; which settings there are is `config`'s business.
"""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Callable
from typing import TypeVar

T = TypeVar("T")

RUN = frozenset({"run"})
STANDALONE = frozenset({"standalone"})
AGENT = RUN | STANDALONE
CAPTURING = AGENT | {"cleanup"}
API_CLIENT = RUN | {"endpoints-controller"}
CHECK = frozenset({"check"})
ASKING = CHECK | {"status", "get", "explain", "observe", "top", "test"}
"""commands that ask a running agent"""
EVERY = CAPTURING | API_CLIENT


def setting(
    default: T,
    text: str,
    *,
    commands: frozenset[str],
    choices: tuple[str, ...] = (),
    metavar: str = "",
    seconds: bool = False,
    live: bool = False,
    check: Callable[[T, str], None] | None = None,
) -> T:
    """Return a dataclass field that carries what flags and documentation need.

    `live`: a change in the configuration file takes effect without a restart (`agent` applies it). `check` is given a value
    and the flag, and raises UsageError for a value that cannot be.
    """
    metadata = {
        "text": text,
        "commands": commands,
        "choices": choices,
        "metavar": metavar,
        "seconds": seconds,
        "live": live,
        "check": check,
    }
    field: T = dataclasses.field(default=default, metadata=metadata)
    return field


def flag(name: str) -> str:
    """Return the flag of a field: `half_close_timeout` is `--half-close-timeout`."""
    return "--" + name.replace("_", "-")


def parse_seconds(text: str) -> float:
    """Return the seconds that `text` means: `90`, `1.5s`, `250ms`, `5m`, `2h`, `1h30m`. Raises ValueError."""
    if re.fullmatch(r"\d+(\.\d+)?", text):
        return float(text)
    units = {"ms": 0.001, "s": 1.0, "m": 60.0, "h": 3600.0}
    if not re.fullmatch(r"(\d+(\.\d+)?(ms|s|m|h))+", text):
        raise ValueError(text)
    return sum(float(n) * units[unit] for n, _, unit in re.findall(r"(\d+(\.\d+)?)(ms|s|m|h)", text))
