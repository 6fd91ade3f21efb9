"""The addresses of this host's interfaces, followed as they change.

Owns which of them count: not link-local ones, which belong to one link, and not our own proxy addresses, which are nobody's
destination. What they mean for node ports and policies is decided in `core`.
"""

from __future__ import annotations

import asyncio
import ipaddress
import logging
from collections.abc import Callable, Collection, Sequence

from userproxy.capture.rtnetlink import RtNetlink
from userproxy.errors import CaptureError

log = logging.getLogger(__name__)

LOOK_SECONDS = 5.0
"""Between two looks; one costs a few system calls. kube-proxy's nftables mode looks once an hour."""


def host_addresses(without: Collection[str] = ()) -> tuple[str, ...]:
    """Return the addresses, sorted, but for link-local ones and those in `without`. Raises CaptureError."""
    with RtNetlink() as netlink:
        found = {one.address for one in netlink.addresses()}
    return tuple(
        sorted(one for one in found if one not in without and not ipaddress.ip_address(one).is_link_local)
    )


async def follow_host_addresses(
    deliver: Callable[[Sequence[str]], None], without: Collection[str] = ()
) -> None:
    """Call `deliver` with the addresses now and whenever they have changed, until cancelled."""
    before: tuple[str, ...] | None = None
    while True:
        try:
            now = host_addresses(without)
        except CaptureError as error:
            log.debug("addresses of the host: %s", error)
        else:
            if now != before:
                before = now
                deliver(now)
        await asyncio.sleep(LOOK_SECONDS)
