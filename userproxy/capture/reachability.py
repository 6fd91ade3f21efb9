"""What a redirect needs besides its rules: the proxy address, and a route for each frontend that has none.

Owns addresses on `lo` and, for redirect only, local routes. connect() looks up a route before NAT sees the packet, so on a
host without a default route it fails before our rule can match. Then, and only then, a frontend address gets a local
route: such a route also makes the host's own daemons on 0.0.0.0 appear on that address, so it is not installed where
the packet gets to NAT without it, and it is taken away again when a real route appears.
"""

from __future__ import annotations

import ipaddress
import logging
from collections.abc import Collection, Iterable, Sequence

from userproxy.capture.route_monitor import RouteMonitor
from userproxy.capture.rtnetlink import LOOPBACK, RtNetlink, covered
from userproxy.model import Family, family_of

_EACH_LOOKED_UP = 256

log = logging.getLogger(__name__)


def ensure_addresses(addresses: Iterable[str]) -> list[str]:
    """Add to `lo` those of `addresses` that no interface has, and return them.

    Loopback addresses are there already. One that another interface has belongs to the administrator.
    """
    wanted = [address for address in addresses if not ipaddress.ip_address(address).is_loopback]
    if not wanted:
        return []
    with RtNetlink() as kernel:
        present = {known.address for known in kernel.addresses()}
        missing = [address for address in wanted if address not in present]
        for address in missing:
            kernel.add_address(address)
    return missing


def remove_addresses(addresses: Iterable[str]) -> list[str]:
    """Remove from `lo` those of `addresses` that it has, except loopback addresses, and return them."""
    with RtNetlink() as kernel:
        on_lo = {known.address for known in kernel.addresses() if known.interface == LOOPBACK}
        mine = [
            address
            for address in addresses
            if address in on_lo and not ipaddress.ip_address(address).is_loopback
        ]
        for address in mine:
            kernel.delete_address(address)
    return mine


class Reachability:
    """The proxy addresses and the routes of last resort. Blocking calls of microseconds for each address."""

    def __init__(self, proxy_addresses: Sequence[str]) -> None:
        self._proxy_addresses = tuple(proxy_addresses)
        self._monitor = RouteMonitor()
        self._known: set[str] = set()
        """frontend addresses that were looked at"""
        self._held: set[str] = set()
        """those of them that have a route of ours"""

    def setup(self) -> None:
        """Add the proxy addresses and remove routes that a crashed run left behind. Raises CaptureError."""
        ensure_addresses(self._proxy_addresses)
        with RtNetlink() as kernel:
            kernel.delete_local_routes(kernel.local_routes())
        self._held.clear()
        self._known.clear()

    def add(self, addresses: Collection[str]) -> None:
        """Give each address a local route if it has no route at all. Raises CaptureError."""
        if addresses:
            with RtNetlink() as kernel:
                self._install(kernel, addresses)
            self._known.update(addresses)

    def remove(self, addresses: Collection[str]) -> None:
        """Take away the routes that `addresses` were given. Raises CaptureError."""
        mine = self._held.intersection(addresses)
        if mine:
            with RtNetlink() as kernel:
                kernel.delete_local_routes(mine)
            self._held -= mine
        self._known.difference_update(addresses)

    def repair(self, addresses: Collection[str]) -> bool:
        """Put proxy addresses and routes right for exactly these frontend addresses.

        Costs next to nothing while nothing in the namespace changes. Returns whether something of ours was lost or left
        over. Raises CaptureError.
        """
        wanted = set(addresses)
        if not self._monitor.changed() and wanted == self._known:
            return False
        lost = ensure_addresses(self._proxy_addresses)
        with RtNetlink() as kernel:
            present = kernel.local_routes()
            stray = present - wanted
            missing = (self._held & wanted) - present
            # A lookup would find our own route, so whether a real one has appeared is read from the routing table.
            overtaken = covered(present - stray, kernel.main_prefixes()) if present else set()
            kernel.delete_local_routes(stray | overtaken)
            self._held = present - stray - overtaken
            self._install(kernel, wanted - self._held)
        self._known = wanted
        self._monitor.settled()
        return bool(lost or stray or missing)

    def teardown(self) -> None:
        """Remove the routes and the proxy addresses. Raises CaptureError."""
        self.remove(set(self._held))
        remove_addresses(self._proxy_addresses)

    def _install(self, kernel: RtNetlink, addresses: Collection[str]) -> None:
        unreachable = kernel.unreachable(_doubtful(kernel, addresses))
        if not unreachable:
            return
        self._held |= unreachable - kernel.add_local_routes(unreachable)
        log.debug("local routes for %d frontend addresses that no route leads to", len(unreachable))


def _doubtful(kernel: RtNetlink, addresses: Collection[str]) -> set[str]:
    """Return the addresses that are worth a lookup each.

    Where many are asked about at once and a default route leads to one of them, it leads to all of its family: a look at
    10,000 addresses whenever any route of the host changes would hold up the event loop for 0.2 s.
    """
    if len(addresses) <= _EACH_LOOKED_UP:
        return set(addresses)
    prefixes = kernel.main_prefixes()
    doubtful: set[str] = set()
    for family in Family:
        mine = [address for address in addresses if family_of(address) is family]
        if (family, 0, 0) not in prefixes or kernel.unreachable(mine[:1]):
            doubtful.update(mine)
    return doubtful
