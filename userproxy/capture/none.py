"""No capture and no addresses for Services: listeners are bound to the proxy address, other tools send packets there.

Owns nothing but the proxy address, which it adds to `lo` when no interface has it.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence

from userproxy.capture.probing import connect, listening, temporary_address
from userproxy.capture.reachability import ensure_addresses, remove_addresses
from userproxy.capture.settings import CaptureSettings
from userproxy.errors import CaptureError
from userproxy.model import CaptureEntry, Family, Probe


class Uncaptured:
    """The capture that captures nothing."""

    name = "none"
    detail = ""

    def __init__(self, settings: CaptureSettings, families: Sequence[Family]) -> None:
        self.families = tuple(families)
        self._addresses = [settings.listener_address(family) for family in self.families]
        self._added: set[str] = set()

    async def setup(self) -> None:
        """Add the proxy addresses that no interface has. Raises CaptureError."""
        self._added.update(ensure_addresses(self._addresses))

    async def change(self, add: Sequence[CaptureEntry], remove: Sequence[CaptureEntry]) -> None:
        """Do nothing."""

    async def repair(self, entries: Collection[CaptureEntry]) -> bool:
        """Add proxy addresses that were lost and return whether there were any. Raises CaptureError."""
        lost = ensure_addresses(self._addresses)
        self._added.update(lost)
        return bool(lost)

    async def teardown(self) -> None:
        """Remove the proxy addresses that were added. Raises CaptureError."""
        remove_addresses(self._added)
        self._added.clear()


async def probe(settings: CaptureSettings, families: Sequence[Family]) -> Probe:
    """Listen on the proxy addresses and connect to them."""
    try:
        for family in families:
            address = settings.listener_address(family)
            with temporary_address(address), listening((address, 0)) as listener:
                (await connect(listener.getsockname()[:2], listener)).close()
    except CaptureError as error:
        return Probe("none", usable=False, reason=f"{error}, or give a proxy address that this host has")
    return Probe("none", usable=True, reason="a test connection reached a listener on the proxy address")
