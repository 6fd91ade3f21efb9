"""What the reconcile loop asks of the edges, as Protocols: the edges know nothing of it, and it knows nothing of them.

Owns these contracts only. `dataplane.plane`, `dataplane.pool`, the modules of `capture` and `admin.health_checks` keep them.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from typing import Protocol

from userproxy.core.health_checks import HealthCheck
from userproxy.core.plan import Serving
from userproxy.model import Address, CaptureEntry, ListenerSpec, PortKey, ServiceName


class Opened(Protocol):
    """Where listeners were opened, and why some were not."""

    @property
    def addresses(self) -> dict[ListenerSpec, Address]: ...

    @property
    def failures(self) -> dict[ListenerSpec, str]: ...


class Plane(Protocol):
    """The data plane."""

    async def open(self, specs: Sequence[ListenerSpec], servings: Sequence[Serving]) -> Opened:
        """Take over endpoints, open listeners; failures are reported, not raised."""

    async def close(self, specs: Sequence[ListenerSpec], keys: Sequence[PortKey]) -> None:
        """Close listeners, forget Service ports; afterwards all that `open` and this were told is in effect."""


class Capture(Protocol):
    """The way packets reach the listeners. Methods raise CaptureError."""

    async def change(self, add: Sequence[CaptureEntry], remove: Sequence[CaptureEntry]) -> None:
        """Remove, then add entries, in one transaction where the kernel has one."""

    async def repair(self, entries: Collection[CaptureEntry]) -> bool:
        """Make the kernel hold exactly `entries`; True when it did not."""


class HealthChecks(Protocol):
    """The servers of healthCheckNodePort."""

    async def show(self, changed: Mapping[ServiceName, Sequence[HealthCheck]]) -> dict[HealthCheck, str]:
        """Answer for exactly these checks of the Services named; failures are reported, not raised."""


Warn = Callable[[ServiceName, str, str], None]
"""Takes what is wrong with a Service: its name, a reason in one word, the words for people."""
