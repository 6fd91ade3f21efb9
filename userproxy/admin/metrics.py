"""The metrics server: `/metrics`, `/proxyMode`, `/status`, `/healthz` and `/events`, by default on 127.0.0.1:10249.

Owns routes, methods and the refusal of foreign Host headers. Values come from `Sources` alone, and no request changes
anything. Long answers are produced one piece at a time over all clients together, each piece about a millisecond, so that
neither a scrape nor many of them delay connections that the same event loop carries.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Iterable, Iterator
from itertools import chain

from aiohttp import web
from prometheus_client import Metric
from prometheus_client.registry import Collector

from userproxy.admin.events import answer_events
from userproxy.admin.exporter import Exporter, read_process
from userproxy.admin.exposition import Exposition
from userproxy.admin.live import answer_live
from userproxy.admin.page_files import file_response, read_files
from userproxy.admin.questions import Questions
from userproxy.admin.server import NOSNIFF, HttpServer, Limits, text_response
from userproxy.admin.sources import Sources
from userproxy.admin.status import status_pieces
from userproxy.admin.wallclock import WallClock
from userproxy.core.addresses import BindAddress, is_local_host_header

METRICS_SETTING = "--metrics-bind-address"

_METHODS = ("GET", "HEAD")


class MetricsServer(HttpServer):
    """Shows what `sources` say; `live`: with the live page, events and connections too, which name clients."""

    def __init__(
        self, bind: BindAddress | None, sources: Sources, limits: Limits | None = None, *, live: bool = True
    ) -> None:
        super().__init__(bind, METRICS_SETTING, self._answer, limits or Limits())
        self._sources = sources
        self._clock = WallClock()
        self._exporter = Exporter(sources, self._clock)
        self._only_local_names = bind is not None and bind.loopback
        self._turn = asyncio.Lock()
        questions = Questions(sources, live=live)
        self._routes: dict[str, Callable[[web.BaseRequest], Awaitable[web.StreamResponse]]] = {
            "/metrics": self._metrics,
            "/proxyMode": self._proxy_mode,
            "/status": self._status,
            "/healthz": self._healthz,
            "/explain": questions.explain,
        }
        self._files: dict[str, bytes] = {}
        if live:
            self._files = read_files()
            self._routes["/events"] = self._events
            self._routes["/connections"] = questions.connections
            self._routes["/live"] = self._live
            self._routes.update(dict.fromkeys(self._files, self._file))

    async def _answer(self, request: web.BaseRequest) -> web.StreamResponse:
        host = request.headers.get("Host")
        if self._only_local_names and host is not None and not is_local_host_header(host):
            return text_response("403 this server answers to localhost and IP addresses only\n", 403)
        route = self._routes.get(request.path)
        if route is None:
            return text_response(f"404 not found; there is {', '.join(self._routes)}\n", 404)
        if request.method not in _METHODS:
            return text_response("405 only GET and HEAD\n", 405, {"Allow": ", ".join(_METHODS)})
        # A link to the page may be followed from anywhere.
        foreign = request.headers.get("Sec-Fetch-Site", "none") not in ("none", "same-origin")
        if foreign and request.path != "/":
            return text_response("403 pages of other sites may not ask this server\n", 403)
        return await route(request)

    async def _metrics(self, request: web.BaseRequest) -> web.StreamResponse:
        # Counting descriptors gives the interpreter lock away at each one, so it may block a thread beside the loop.
        process = await asyncio.to_thread(read_process)
        accept = ",".join(request.headers.getall("Accept", ()))
        exposition = Exposition(_Together(process, self._exporter), accept)
        return await self._stream(request, exposition.content_type, exposition.pieces())

    async def _status(self, request: web.BaseRequest) -> web.StreamResponse:
        return await self._stream(request, "application/json", status_pieces(self._sources, self._clock))

    async def _proxy_mode(self, request: web.BaseRequest) -> web.StreamResponse:
        return text_response(self._sources.capture().name)

    async def _healthz(self, request: web.BaseRequest) -> web.StreamResponse:
        return text_response("ok")

    async def _events(self, request: web.BaseRequest) -> web.StreamResponse:
        return await answer_events(request, self._sources.observers, self.lengthen)

    async def _live(self, request: web.BaseRequest) -> web.StreamResponse:
        return await answer_live(request, self._sources, self._clock, self.lengthen)

    async def _file(self, request: web.BaseRequest) -> web.StreamResponse:
        return file_response(request.path, self._files[request.path])

    async def _stream(
        self, request: web.BaseRequest, content_type: str, pieces: Iterator[bytes]
    ) -> web.StreamResponse:
        response = web.StreamResponse(headers={"Content-Type": content_type, **NOSNIFF})
        response.force_close()
        if request.method == "HEAD":
            await response.prepare(request)
            return response
        response.enable_compression()
        # Made before the status line goes out: what fails in the first piece can still be answered with 500.
        piece = await self._next(pieces)
        await response.prepare(request)
        while piece is not None:
            await response.write(piece)
            piece = await self._next(pieces)
        await response.write_eof()
        return response

    async def _next(self, pieces: Iterator[bytes]) -> bytes | None:
        """Return the next piece, one piece in each turn of the loop whatever the number of clients."""
        async with self._turn:
            await asyncio.sleep(0)
            return next(pieces, None)


class _Together(Collector):
    """The process metrics, read beforehand, then our own."""

    def __init__(self, process: Iterable[Metric], exporter: Exporter) -> None:
        self._process = process
        self._exporter = exporter

    def collect(self) -> Iterable[Metric]:
        return chain(self._process, self._exporter.collect())
