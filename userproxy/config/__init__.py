"""Every setting of userproxy: one frozen Config with the unit, default and reason of each field.

Owns names, defaults, documentation and checks of settings; how one is written down is `setting`'s. `cli` makes flags of the
fields (and USERPROXY_* variables), the reference page lists them. Touches nothing: no file, no socket, no environment.
"""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from userproxy.config.admin import Admin
from userproxy.config.checks import parts
from userproxy.config.cluster import Cluster
from userproxy.config.standalone import Standalone
from userproxy.config.traffic import Traffic
from userproxy.errors import UsageError
from userproxy.setting import ASKING, EVERY, flag, setting

LOG_FORMATS = ("text", "json")
LOG_LEVELS = ("debug", "info", "warning", "error")


@dataclass(frozen=True)
class Config(Standalone, Admin, Traffic, Cluster):
    """All settings, checked. Durations are seconds. (A dataclass has the fields of its last base first.)"""

    agent: str = setting(
        "127.0.0.1:10249",
        "The running agent to ask: its --metrics-bind-address.",
        commands=ASKING,
        metavar="IP:PORT",
    )
    log_level: str = setting(
        "info", "What is logged to standard error.", commands=EVERY, live=True, choices=LOG_LEVELS
    )
    log_format: str = setting(
        "text",
        "How it is logged: text for people (in colours on a terminal unless NO_COLOR is set), or one JSON object for each "
        "line with time, level, message and fields such as service, endpoint, resource.",
        commands=EVERY,
        live=True,
        choices=LOG_FORMATS,
    )

    def __post_init__(self) -> None:
        for field in dataclasses.fields(self):
            if check := field.metadata["check"]:
                check(getattr(self, field.name), flag(field.name))
        if self.demo and self.data_path is not None:
            raise UsageError("--demo is for throw-away use and keeps nothing; leave out --demo or --data-dir")

    @property
    def pod_networks(self) -> tuple[str, ...]:
        """Where Pods have their addresses."""
        return parts(self.cluster_cidr)

    @property
    def node_port_addresses(self) -> tuple[str, ...]:
        """What --nodeport-addresses names."""
        return parts(self.nodeport_addresses)

    @property
    def data_path(self) -> Path | None:
        """The data directory, None for a store in memory."""
        return None if self.data_dir == ":memory:" else Path(self.data_dir)

    @property
    def manifests_path(self) -> Path | None:
        """The manifests directory, None when there is none."""
        return Path(self.manifests) if self.manifests else None


def settings_of(command: str) -> list[dataclasses.Field[Any]]:
    """Return the fields that `command` has a flag for, in the order of Config."""
    return [field for field in dataclasses.fields(Config) if command in field.metadata["commands"]]
