"""No capture: each Service has an address of its own in 127.0.0.0/8, which Linux makes local without any help.

Owns nothing in the kernel. The addresses are chosen in `core.loopback`.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence

from userproxy.capture.probing import connect, listening
from userproxy.capture.settings import CaptureSettings
from userproxy.errors import CaptureError
from userproxy.model import CaptureEntry, Family, Probe

_PROBE_ADDRESS = "127.64.0.1"


class Loopback:
    """The loopback capture: there is nothing to install, so nothing here can fail."""

    name = "loopback"
    detail = ""

    def __init__(self, settings: CaptureSettings, families: Sequence[Family]) -> None:
        self.families = tuple(families)

    async def setup(self) -> None:
        """Do nothing."""

    async def change(self, add: Sequence[CaptureEntry], remove: Sequence[CaptureEntry]) -> None:
        """Do nothing."""

    async def repair(self, entries: Collection[CaptureEntry]) -> bool:
        """Return False: there is nothing that could be lost."""
        return False

    async def teardown(self) -> None:
        """Do nothing."""


async def probe(settings: CaptureSettings, families: Sequence[Family]) -> Probe:
    """Listen on an address of 127.0.0.0/8 that is not 127.0.0.1 and connect to it."""
    try:
        with listening((_PROBE_ADDRESS, 0)) as listener:
            (await connect(listener.getsockname()[:2], listener)).close()
    except CaptureError as error:
        return Probe("loopback", usable=False, reason=f"{error}: is lo up?")
    return Probe("loopback", usable=True, reason="a test connection reached a listener on a loopback address")
