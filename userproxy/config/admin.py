"""Settings of what the agent shows of itself: health and metrics servers, live page, events.

Owns these fields; `config` joins them with the others and checks them.
"""

from __future__ import annotations

from dataclasses import dataclass

from userproxy.config.checks import within
from userproxy.setting import AGENT, CHECK, setting

MAX_EVENTS = 100_000
"""Some 60 MB in each process."""


@dataclass(frozen=True, init=False, repr=False, eq=False)  # only Config is made
class Admin:
    """The HTTP servers and what they keep."""

    healthz_bind_address: str = setting(
        "0.0.0.0:10256",
        "Where /healthz, /livez and /readyz answer; standalone: 127.0.0.1:10256. Empty: nowhere.",
        commands=AGENT | CHECK,
        metavar="IP:PORT",
    )
    metrics_bind_address: str = setting(
        "127.0.0.1:10249",
        "Where /metrics, /proxyMode and /status answer. Empty: nowhere.",
        commands=AGENT | CHECK,
        metavar="IP:PORT",
    )
    live_page: str = setting(
        "auto",
        "Whether the metrics server shows the live page (/) and /events too, which name clients; auto: on a loopback "
        "address only.",
        commands=AGENT,
        choices=("auto", "on", "off"),
    )
    observe_events: int = setting(
        2000,
        "Records of connections and changes kept for userproxy observe and the live page, here and in each worker; "
        "0: none.",
        commands=AGENT,
        metavar="N",
        check=within(0, MAX_EVENTS),
    )
