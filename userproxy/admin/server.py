"""A small HTTP server on one address: what the health and the metrics server have in common.

Owns the listening socket, the bounds on connections and the words for a failed bind. What is answered is the caller's handler.
Each connection carries one request and has a deadline; above the limit the oldest connection is ended, so that slow clients can
neither pile up nor keep a probe out.
"""

from __future__ import annotations

import asyncio
import errno
import logging
import os
import socket
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from typing import Any

from aiohttp import web

from userproxy.core.addresses import BindAddress, address_text
from userproxy.errors import ListenError
from userproxy.model import Address, Family

logger = logging.getLogger(__name__)

Handler = Callable[[web.BaseRequest], Awaitable[web.StreamResponse]]

NOSNIFF = {"X-Content-Type-Options": "nosniff"}

_BACKLOG = 128
_STOP_SECONDS = 1.0


@dataclass(frozen=True)
class Limits:
    """Bounds of one server."""

    connections: int = 64
    """open at once; probes and scrapers need a handful"""
    seconds: float = 30.0
    """how long a connection may take from accept to the last byte; three times the usual scrape timeout"""
    streams: int = 16
    """of the connections, how many may be endless answers at once, each without that deadline"""


class HttpServer:
    """Serves `handler` on `bind`; without an address (the setting is empty) start and stop do nothing."""

    def __init__(
        self,
        bind: BindAddress | None,
        setting: str,
        handler: Handler,
        limits: Limits,
        *,
        ipv6_only: bool = False,
    ) -> None:
        self._bind = bind
        self._setting = setting
        self._handler = handler
        self._limits = limits
        self._ipv6_only = ipv6_only
        self._listener: asyncio.Server | None = None
        self._protocols: _BoundedServer | None = None
        self.address: Address | None = None
        """where it listens; None while it does not"""

    async def start(self) -> None:
        """Open the socket and serve. Raises ListenError."""
        if self._bind is None:
            logger.info("%s is empty: no server", self._setting)
            return
        sock = _listening_socket(self._bind, self._setting, ipv6_only=self._ipv6_only)
        self._protocols = _BoundedServer(self._one_request, self._limits)
        # In two steps, so that `stop` knows of the socket even when this is cancelled.
        self._listener = await asyncio.get_running_loop().create_server(
            self._protocols, sock=sock, backlog=_BACKLOG, start_serving=False
        )
        await self._listener.start_serving()
        self.address = sock.getsockname()[:2]
        logger.info("%s: listening on %s", self._setting, address_text(self.address))

    async def stop(self) -> None:
        """Close the socket, give answers under way a second, end the rest."""
        listener, protocols = self._listener, self._protocols
        self._listener = self._protocols = self.address = None
        if listener is not None:
            listener.close()
        if protocols is not None:
            protocols.end_streams()
            await protocols.shutdown(_STOP_SECONDS)

    def lengthen(self, request: web.BaseRequest) -> bool:
        """Take the deadline off the connection of `request`, for an endless answer; False when there are too many of them."""
        return self._protocols is not None and self._protocols.lengthen(request.protocol)

    async def _one_request(self, request: web.BaseRequest) -> web.StreamResponse:
        try:
            response = await self._handler(request)
        except ConnectionError:
            raise
        except Exception:
            logger.exception("%s: no answer to %s", self._setting, request.path)
            raise
        response.force_close()
        return response


class _BoundedServer(web.Server):
    """aiohttp's server with a deadline for each connection and a bound on their number."""

    def __init__(self, handler: Handler, limits: Limits) -> None:
        # Without cancellation a handler would go on writing for a client that is gone.
        super().__init__(
            handler, handler_cancellation=True, access_log=None, lingering_time=0, logger=_AsDebug(logger)
        )
        self._limits = limits
        self._open: dict[object, tuple[asyncio.Transport, asyncio.TimerHandle]] = {}
        self._streams: dict[object, asyncio.Transport] = {}

    def connection_made(self, handler: web.RequestHandler, transport: asyncio.Transport) -> None:
        super().connection_made(handler, transport)
        deadline = asyncio.get_running_loop().call_later(self._limits.seconds, transport.abort)
        self._open[handler] = (transport, deadline)
        if len(self._open) > self._limits.connections:
            oldest, deadline = self._open.pop(next(iter(self._open)))
            deadline.cancel()
            oldest.abort()

    def lengthen(self, handler: object) -> bool:
        """Take the deadline off a connection and let newer ones not end it."""
        if len(self._streams) >= self._limits.streams or handler not in self._open:
            return False
        transport, deadline = self._open.pop(handler)
        deadline.cancel()
        self._streams[handler] = transport
        return True

    def end_streams(self) -> None:
        """End the endless answers."""
        for transport in tuple(self._streams.values()):
            transport.abort()

    def connection_lost(self, handler: web.RequestHandler, exc: BaseException | None = None) -> None:
        self._streams.pop(handler, None)
        if handler in self._open:
            self._open.pop(handler)[1].cancel()
        super().connection_lost(handler, exc)


class _AsDebug(logging.LoggerAdapter[logging.Logger]):
    """Takes what aiohttp says down to debug: garbage from a client would be an error with a traceback otherwise."""

    def log(self, level: int, msg: object, *args: object, **kwargs: Any) -> None:
        super().log(logging.DEBUG, msg, *args, **kwargs)


def text_response(text: str, status: int = 200, headers: Mapping[str, str] | None = None) -> web.Response:
    """Return an answer in plain text that no browser takes for anything else."""
    return web.Response(text=text, status=status, headers={**NOSNIFF, **(headers or {})})


async def begin_events(request: web.BaseRequest) -> tuple[web.StreamResponse, bool]:
    """Begin an answer that is written event by event; returns it, and whether as server-sent events or as JSON lines."""
    served = "text/event-stream" in request.headers.get("Accept", "")
    response = web.StreamResponse(
        headers={
            "Content-Type": "text/event-stream" if served else "application/x-ndjson",
            "Cache-Control": "no-store",
            **NOSNIFF,
        }
    )
    response.force_close()
    await response.prepare(request)
    return response, served


def _listening_socket(bind: BindAddress, setting: str, *, ipv6_only: bool) -> socket.socket:
    try:
        family = socket.AF_INET6 if bind.family is Family.IPV6 else socket.AF_INET
        sock = socket.socket(family, socket.SOCK_STREAM)
    except OSError as error:
        raise _listen_error(bind, setting, error) from error
    try:
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        if family == socket.AF_INET6:
            # As Go does for kube-proxy's own servers: [::] takes IPv4 too.
            sock.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, int(ipv6_only))
        sock.bind((bind.host, bind.port))
        sock.listen(_BACKLOG)
        sock.setblocking(False)
    except OSError as error:
        sock.close()
        raise _listen_error(bind, setting, error) from error
    return sock


_BIND_ADVICE = {
    errno.EADDRINUSE: "another program listens there (`ss -ltnp` names it; kube-proxy uses the same ports): stop it or "
    "choose another address",
    errno.EADDRNOTAVAIL: "this host has no such address: choose one that `ip address` shows, or 0.0.0.0",
    errno.EACCES: "ports below 1024 need CAP_NET_BIND_SERVICE: choose a higher port or grant it",
    errno.EAFNOSUPPORT: "this host has no IPv6: choose an IPv4 address",
}


def _listen_error(bind: BindAddress, setting: str, error: OSError) -> ListenError:
    code = error.errno or 0
    advice = _BIND_ADVICE.get(code, "choose another address")
    return ListenError(f"{setting}: cannot listen on {bind}: {os.strerror(code)}; {advice}")
