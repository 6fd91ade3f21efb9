"""Removing every trace that capture left on this host, whatever way it was and however the process ended.

Owns nothing while userproxy runs; it is for `userproxy cleanup`. What is not ours is only read.
"""

from __future__ import annotations

from userproxy.capture import policy_routing
from userproxy.capture.leftovers import remove_rules
from userproxy.capture.reachability import remove_addresses
from userproxy.capture.rtnetlink import RtNetlink
from userproxy.capture.settings import CaptureSettings
from userproxy.model import Family


async def cleanup(settings: CaptureSettings) -> tuple[str, ...]:
    """Remove our rules, then routes and the proxy addresses of `settings`; return one line for each thing removed.

    Raises CaptureError, and leaves the rest in place, when something of ours cannot be read or removed.
    """
    with RtNetlink() as kernel:
        kernel.require_permission()
    removed = await remove_rules()
    with RtNetlink() as kernel:
        routes = kernel.local_routes()
        kernel.delete_local_routes(routes)
    removed += [f"local route {address}" for address in sorted(routes)]
    addresses = remove_addresses(settings.listener_address(family) for family in Family)
    removed += [f"address {address} on lo" for address in addresses]
    removed += policy_routing.remove(Family)
    return tuple(removed)
