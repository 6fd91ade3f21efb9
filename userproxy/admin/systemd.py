"""Tells systemd how the service is doing: started, alive, stopping, and one line of status (sd_notify(3), Type=notify).

Owns the notification socket and the wording of its datagrams. What is true at the moment is the caller's. Every datagram says
the whole state anew, so that one that was lost (the socket never blocks us) is made good by the next.
"""

from __future__ import annotations

import logging
import os
import socket
from collections.abc import Mapping
from dataclasses import dataclass

log = logging.getLogger(__name__)

STATUS_SECONDS = 5.0
"""How often the status line is renewed when no watchdog asks for more."""


@dataclass(frozen=True)
class ServiceState:
    """What systemd is told. Not `alive` means: no sign of life for the watchdog, which then restarts us."""

    ready: bool
    alive: bool
    stopping: bool
    status: str


class SystemdNotifier:
    """The notification socket; `tell` does nothing where NOTIFY_SOCKET is not set, which is everywhere but under systemd."""

    def __init__(self, environ: Mapping[str, str], pid: int) -> None:
        """`pid` is our own: a watchdog meant for another process (WATCHDOG_PID) is none of our business."""
        self._address = environ.get("NOTIFY_SOCKET", "")
        self._complained = False
        self.interval = min(STATUS_SECONDS, _watchdog_seconds(environ, pid) / 3)
        """seconds between two calls of `tell`: three signs of life in each period of the watchdog"""

    @property
    def wanted(self) -> bool:
        """Whether anyone listens."""
        return bool(self._address)

    def tell(self, state: ServiceState) -> None:
        """Send `state`. A failure is logged once and never raised: the proxy works without systemd."""
        if not self._address:
            return
        try:
            with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_NONBLOCK) as channel:
                channel.sendto(datagram(state), _abstract_or_path(self._address))
        except OSError as error:
            if not self._complained:
                log.warning(
                    "systemd is not told how we are (NOTIFY_SOCKET=%s): %s",
                    self._address,
                    os.strerror(error.errno or 0),
                )
            self._complained = True


def datagram(state: ServiceState) -> bytes:
    """Return the assignments of `state`, one a line (sd_notify(3))."""
    lines = ["STATUS=" + " ".join(state.status.split())]
    if state.stopping:
        lines.append("STOPPING=1")
    elif state.ready:
        lines.append("READY=1")
    if state.alive:
        lines.append("WATCHDOG=1")
    return "\n".join(lines).encode()


def _abstract_or_path(address: str) -> str:
    return "\0" + address[1:] if address.startswith("@") else address


def _watchdog_seconds(environ: Mapping[str, str], pid: int) -> float:
    """Return the period of the watchdog, infinity without one (sd_watchdog_enabled(3))."""
    period = environ.get("WATCHDOG_USEC", "")
    meant = environ.get("WATCHDOG_PID", str(pid))
    if meant != str(pid) or not period.isdecimal() or int(period) == 0:
        return float("inf")
    return int(period) / 1_000_000
