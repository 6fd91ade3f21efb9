"""What the probes of capture share: a test address, and a real connection to it.

Owns addresses and names that only probes use, and the undoing of all that a probe installs. Addresses are of the blocks
for documentation (RFC 5737, RFC 3849), so no service is ever behind them; they are used for milliseconds and one port.
"""

from __future__ import annotations

import asyncio
import os
import socket
import struct
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Sequence
from contextlib import AsyncExitStack, ExitStack, asynccontextmanager, contextmanager

from userproxy.capture.netlink import meaning
from userproxy.capture.reachability import ensure_addresses, remove_addresses
from userproxy.capture.rtnetlink import RtNetlink
from userproxy.capture.settings import CaptureSettings
from userproxy.errors import CaptureError
from userproxy.model import Address, CaptureEntry, Family, Frontend, Probe

PROBE_TABLE = "userproxy-probe"
PROBE_CHAIN = "USERPROXY-PROBE"
PROBE_ADDRESS = {Family.IPV4: "203.0.113.77", Family.IPV6: "2001:db8::77"}

_PROBE_PORT = 7
_TIMEOUT = 1.0
"""Seconds for a connection that does not leave the host."""

_AF = {Family.IPV4: socket.AF_INET, Family.IPV6: socket.AF_INET6}
_SO_ORIGINAL_DST = 80
"""linux/netfilter_ipv4.h, and the same number in linux/netfilter_ipv6/ip6_tables.h for level SOL_IPV6."""
_FREEBIND = {Family.IPV4: (socket.IPPROTO_IP, 15), Family.IPV6: (socket.IPPROTO_IPV6, 78)}
"""IP_FREEBIND and IPV6_FREEBIND (linux/in.h, linux/in6.h), which the socket module does not name."""

Install = Callable[[CaptureEntry, Family], Awaitable[None]]
Uninstall = Callable[[Family], Awaitable[None]]


async def try_redirect(
    label: str,
    settings: CaptureSettings,
    families: Sequence[Family],
    install: Install,
    uninstall: Uninstall,
) -> Probe:
    """Redirect a test connection with rules that `install` writes; all of it is undone, also on failure."""
    try:
        # Side by side, as each waits for programs. Each undoes what is its own, whatever happens to the others.
        attempts = [
            _redirect_once(settings.listener_address(family), family, install, uninstall)
            for family in families
        ]
        found = await asyncio.gather(*attempts, return_exceptions=True)
        for family, fault in zip(families, found, strict=True):
            with _naming(family):
                if fault is not None:
                    raise fault
    except CaptureError as error:
        return Probe(label, usable=False, reason=str(error))
    return Probe(label, usable=True, reason="a test connection was redirected")


async def try_local_route(label: str, families: Sequence[Family]) -> Probe:
    """Make a test address local by a route, listen on it and connect to it; all of it is undone, also on failure."""
    try:
        for family in families:
            with _naming(family), _local_route(PROBE_ADDRESS[family], only_if_unreachable=False):
                # For IPv6, bind() asks for an address on an interface where IPv4 is content with a local route.
                with listening((PROBE_ADDRESS[family], 0), freebind=True) as listener:
                    (await connect(listener.getsockname()[:2], listener)).close()
                _require_low_ports(PROBE_ADDRESS[family])
    except CaptureError as error:
        return Probe(label, usable=False, reason=str(error))
    return Probe(label, usable=True, reason="a test connection reached a listener behind a local route")


async def connect(target: Address, listener: socket.socket) -> socket.socket:
    """Connect to `target` and return the connection as accepted by `listener`. Raises CaptureError."""
    loop = asyncio.get_running_loop()
    client = socket.socket(listener.family, socket.SOCK_STREAM | socket.SOCK_NONBLOCK)
    try:
        async with asyncio.timeout(_TIMEOUT):
            await loop.sock_connect(client, target)
            accepted, _ = await loop.sock_accept(listener)
    except TimeoutError as error:
        raise CaptureError(f"a test connection to {target[0]} got no answer") from error
    except OSError as error:
        # asyncio words the text of the error anew, without the reason.
        reason = os.strerror(error.errno or 0)
        raise CaptureError(f"a test connection to {target[0]} failed: {reason}") from error
    finally:
        client.close()
    return accepted


@contextmanager
def listening(address: Address, *, freebind: bool = False) -> Iterator[socket.socket]:
    """Listen on `address` for the duration of a with block; `freebind` as in ip(7). Raises CaptureError."""
    family = Family.IPV6 if ":" in address[0] else Family.IPV4
    with socket.socket(_AF[family], socket.SOCK_STREAM | socket.SOCK_NONBLOCK) as listener:
        try:
            if freebind:
                listener.setsockopt(*_FREEBIND[family], 1)
            listener.bind(address)
            listener.listen()
        except OSError as error:
            raise CaptureError(f"cannot listen on {address[0]}: {error.strerror}") from error
        yield listener


async def _redirect_once(address: str, family: Family, install: Install, uninstall: Uninstall) -> None:
    target = (PROBE_ADDRESS[family], _PROBE_PORT)
    async with AsyncExitStack() as undo:
        undo.enter_context(temporary_address(address))
        listener = undo.enter_context(listening((address, 0)))
        entry = CaptureEntry(Frontend(target[0], target[1], "TCP"), listener.getsockname()[:2])
        await undo.enter_async_context(_installed(entry, family, install, uninstall))
        undo.enter_context(_local_route(target[0], only_if_unreachable=True))
        with await connect(target, listener) as accepted:
            found = _original_destination(accepted, family)
    if found != target:
        raise CaptureError(f"the kernel tells {found[0]}:{found[1]} as the address before redirection")


@asynccontextmanager
async def _installed(
    entry: CaptureEntry, family: Family, install: Install, uninstall: Uninstall
) -> AsyncIterator[None]:
    try:
        await install(entry, family)
        yield
    except BaseException:
        # What failed is what is to be reported; removal fails too where nothing may be installed.
        try:
            await uninstall(family)
        except CaptureError:
            pass
        raise
    await uninstall(family)


@contextmanager
def temporary_address(address: str) -> Iterator[None]:
    """Have `address` on this host for the duration of a with block. Raises CaptureError."""
    added = ensure_addresses([address])
    try:
        yield
    finally:
        remove_addresses(added)


@contextmanager
def _local_route(address: str, *, only_if_unreachable: bool) -> Iterator[None]:
    with ExitStack() as undo:
        with RtNetlink() as kernel:
            if not only_if_unreachable or kernel.unreachable([address]):
                kernel.add_local_routes([address])
                undo.callback(_delete_route, address)
        yield


def _delete_route(address: str) -> None:
    with RtNetlink() as kernel:
        kernel.delete_local_routes([address])


def _require_low_ports(address: str) -> None:
    family = Family.IPV6 if ":" in address else Family.IPV4
    with socket.socket(_AF[family], socket.SOCK_STREAM) as trial:
        try:
            trial.bind((address, _PROBE_PORT))
        except PermissionError as error:
            raise CaptureError(
                "listeners on ports below 1024 are not permitted: run as root or with CAP_NET_BIND_SERVICE"
            ) from error
        except OSError:  # in use by somebody else, so it is the port and not the right that is missing
            pass


def _original_destination(connection: socket.socket, family: Family) -> Address:
    level, size = (socket.IPPROTO_IPV6, 28) if family is Family.IPV6 else (socket.IPPROTO_IP, 16)
    try:
        raw = connection.getsockopt(level, _SO_ORIGINAL_DST, size)
    except OSError as error:
        raise CaptureError(
            f"the kernel does not tell the address before redirection: {meaning(error.errno or 0)}"
        ) from error
    port = struct.unpack_from("!H", raw, 2)[0]
    start, length = (8, 16) if family is Family.IPV6 else (4, 4)
    return socket.inet_ntop(_AF[family], raw[start : start + length]), port


@contextmanager
def _naming(family: Family) -> Iterator[None]:
    try:
        yield
    except CaptureError as error:
        if family is Family.IPV4:
            raise
        raise CaptureError(f"IPv6: {error}") from error
