"""Capture by local routes (AnyIP): each frontend address becomes an address of this host, without netfilter.

Owns one route for each frontend address. Listeners are bound to the frontends themselves, so there is no translation
and no conntrack. The price: a daemon of the host that listens on 0.0.0.0 is reachable on every frontend address, on
ports that no Service port uses.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence

from userproxy.capture.entries import HeldEntries, of_families
from userproxy.capture.leftovers import remove_rules
from userproxy.capture.probing import try_local_route
from userproxy.capture.reachability import remove_addresses
from userproxy.capture.route_monitor import RouteMonitor
from userproxy.capture.rtnetlink import RtNetlink
from userproxy.capture.settings import CaptureSettings
from userproxy.model import CaptureEntry, Family, Probe


class LocalRoute:
    """The route capture. One caller at a time; after a CaptureError call `repair` with all entries."""

    name = "route"
    detail = ""

    def __init__(self, settings: CaptureSettings, families: Sequence[Family]) -> None:
        self.families = tuple(families)
        self._proxy_addresses = [settings.listener_address(family) for family in Family]
        self._is_set_up = False
        self._held = HeldEntries()
        self._monitor = RouteMonitor()
        self._present: set[str] = set()
        """addresses that have a route of ours"""
        self._foreign: set[str] = set()
        """addresses that were local without us and stay so"""

    async def setup(self) -> None:
        """Remove what a crashed run left of other ways of capture. Raises CaptureError.

        Its local routes stay until `repair`: without a listener the kernel answers with RST there, and that is better for
        clients than a packet that leaves the host.
        """
        self._is_set_up = True
        await remove_rules()
        remove_addresses(self._proxy_addresses)
        with RtNetlink() as kernel:
            self._present = kernel.local_routes()

    async def change(self, add: Sequence[CaptureEntry], remove: Sequence[CaptureEntry]) -> None:
        """Remove and add the routes of addresses that appear or vanish with these entries. Raises CaptureError.

        All routes are tried even when one is refused. Entries of a family that is not in use are left out.
        """
        appeared, gone = self._held.change(
            of_families(add, self.families), of_families(remove, self.families)
        )
        with RtNetlink() as kernel:
            self._delete(kernel, gone & self._present)
            self._add(kernel, appeared - self._present)
        self._foreign -= gone

    async def repair(self, entries: Collection[CaptureEntry]) -> bool:
        """Make the kernel hold the routes of exactly `entries`; return whether others had added or removed any.

        Costs next to nothing while nothing in the namespace changes. Raises CaptureError.
        """
        self._held.replace(of_families(entries, self.families))
        wanted = set(self._held.addresses)
        if not self._monitor.changed() and wanted == self._present | self._foreign:
            return False
        with RtNetlink() as kernel:
            believed, self._present = self._present, kernel.local_routes()
            drifted = believed != self._present
            self._foreign &= wanted
            self._delete(kernel, self._present - wanted)
            self._add(kernel, wanted - self._present)
        self._monitor.settled()
        return drifted

    async def teardown(self) -> None:
        """Remove all routes of ours. Raises CaptureError.

        Does nothing before `setup`: what is there then may belong to another process that runs.
        """
        if not self._is_set_up:
            return
        with RtNetlink() as kernel:
            self._delete(kernel, kernel.local_routes())
        self._held.replace([])
        self._foreign.clear()

    def _add(self, kernel: RtNetlink, addresses: set[str]) -> None:
        foreign = kernel.add_local_routes(addresses)
        self._foreign |= foreign
        self._foreign -= addresses - foreign
        self._present |= addresses - foreign

    def _delete(self, kernel: RtNetlink, addresses: set[str]) -> None:
        kernel.delete_local_routes(addresses)
        self._present -= addresses


async def probe(settings: CaptureSettings, families: Sequence[Family]) -> Probe:
    """Add a local route for a test address, listen behind it, connect, and remove the route."""
    return await try_local_route("route", families)
