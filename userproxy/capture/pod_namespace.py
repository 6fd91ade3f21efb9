"""A network namespace like a Pod's, for as long as a test takes: a veth pair to this host and a default route over it.

Owns a thread that is inside; sockets made by it stay there. The veth pair is deleted at the end; the namespace belongs to
nobody else, so the kernel removes both when the thread ends, also when this process is killed.
"""

from __future__ import annotations

import asyncio
import contextlib
import ctypes
import os
import socket
import threading
from collections.abc import AsyncIterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager

from userproxy.capture.commands import NOT_PERMITTED, run
from userproxy.capture.settings import host_has_ipv6
from userproxy.errors import CaptureError

_CLONE_NEWNET = 0x40000000
_LINK = "userproxy-test"
_HOST4, _POD4, _BITS4 = "169.254.78.1", "169.254.78.2", 30
"""Link-local, beside the proxy address; packets of these never leave the host."""
_HOST6, _POD6, _BITS6 = "fd77:7573:6573::1", "fd77:7573:6573::2", 126


class PodNamespace:
    """The inside; `socket` makes sockets there."""

    def __init__(self, inside: ThreadPoolExecutor, thread: int) -> None:
        self._inside = inside
        self._thread = thread

    def socket(self, family: int, kind: int) -> socket.socket:
        """Return a new socket of the namespace."""
        return self._inside.submit(socket.socket, family, kind).result()

    async def connect_to_host(self) -> None:
        """Make the veth pair, its addresses and the default routes. Raises CaptureError."""
        await run(
            ["ip", "link", "add", _LINK, "type", "veth", "peer", "name", "eth0", "netns", str(self._thread)]
        )
        host = [f"link set {_LINK} up", f"addr add {_HOST4}/{_BITS4} dev {_LINK}"]
        pod = ["link set lo up", "link set eth0 up", f"addr add {_POD4}/{_BITS4} dev eth0"]
        pod.append(f"route add default via {_HOST4}")
        if host_has_ipv6():
            host.append(f"addr add {_HOST6}/{_BITS6} dev {_LINK} nodad")
            pod += [f"addr add {_POD6}/{_BITS6} dev eth0 nodad", f"route add default via {_HOST6}"]
        await run(["ip", "-batch", "-"], "\n".join(host))
        place = f"--net=/proc/{os.getpid()}/task/{self._thread}/ns/net"
        await run(["nsenter", place, "ip", "-batch", "-"], "\n".join(pod))


@asynccontextmanager
async def pod_namespace() -> AsyncIterator[PodNamespace]:
    """Have a namespace that is connected to this host. Raises CaptureError."""
    with ThreadPoolExecutor(1, thread_name_prefix="pod") as inside:
        thread = await asyncio.wrap_future(inside.submit(_enter_new_namespace))
        made = PodNamespace(inside, thread)
        await made.connect_to_host()
        try:
            yield made
        finally:
            # With the namespace it goes too, but later: the kernel cleans namespaces up when it has time.
            with contextlib.suppress(CaptureError):
                await run(["ip", "link", "delete", _LINK])


def _enter_new_namespace() -> int:
    """Move the calling thread into a new network namespace; returns the thread's number."""
    if ctypes.CDLL(None, use_errno=True).unshare(_CLONE_NEWNET) != 0:
        reason = os.strerror(ctypes.get_errno())
        raise CaptureError(f"cannot make a network namespace: {reason}: {NOT_PERMITTED} and CAP_SYS_ADMIN")
    return threading.get_native_id()
