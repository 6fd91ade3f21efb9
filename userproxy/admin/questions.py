"""The `/explain` and `/connections` answers: what a person asks about one address, and which connections are open.

Owns the queries and putting the answers together from the core and a look into the workers. Changes nothing. One question at a
time looks into the workers, so that many of them cannot keep the workers from relaying.
"""

from __future__ import annotations

import asyncio
import time
from typing import Any

import msgspec
from aiohttp import web

from userproxy.admin.server import NOSNIFF, text_response
from userproxy.admin.sources import Sources
from userproxy.core.addresses import address_text
from userproxy.core.connection_view import connections_view
from userproxy.core.events import Event
from userproxy.core.explain import explain
from userproxy.core.explanation import PortExplanation, WorkerTurns
from userproxy.core.reasons import recent_failures
from userproxy.core.target import parse_source, parse_target
from userproxy.errors import UsageError
from userproxy.model import PortKey

MOST_CONNECTIONS = 1000


class Questions:
    """Answers from `sources`; `live`: with what names clients."""

    def __init__(self, sources: Sources, *, live: bool) -> None:
        self._sources = sources
        self._live = live
        self._looking = asyncio.Lock()

    async def explain(self, request: web.BaseRequest) -> web.Response:
        """Answer `?target=ADDRESS:PORT&from=IP`."""
        try:
            target = parse_target(request.query.get("target", ""))
            source = parse_source(request.query.get("from", ""))
        except UsageError as error:
            return text_response(f"400 {error}\n", 400)
        explanation, keys = explain(target, source, self._sources.world())
        events = await self._events() if keys and self._live else []
        ports = [
            msgspec.structs.replace(
                port,
                turns=await self._turns(key, port),
                failures=(*port.failures, *recent_failures(key, events)),
            )
            for port, key in zip(explanation.ports, keys, strict=True)
        ]
        return _json(msgspec.structs.replace(explanation, ports=tuple(ports)))

    async def connections(self, request: web.BaseRequest) -> web.Response:
        """Answer `?namespace=NAME&service=NAME&limit=NUMBER`, the last 1,000 at most."""
        text = request.query.get("limit", str(MOST_CONNECTIONS))
        if not (text.isascii() and text.isdigit()) or len(text) > 9:
            return text_response(f"400 limit: {text[:20]!r} is not a number\n", 400)
        limit = min(int(text), MOST_CONNECTIONS)
        namespace, service = request.query.get("namespace", ""), request.query.get("service", "")
        async with self._looking:
            # A filter is applied behind the bound: what is listed is the newest of all Services.
            found = await self._sources.inspect(None, MOST_CONNECTIONS if namespace or service else limit)
        return _json(connections_view(found, time.monotonic(), limit, namespace, service))

    async def _events(self) -> list[Event]:
        """Return the events that are kept, those that workers have not delivered yet included."""
        async with self._sources.observers.reading() as log:
            return log.read(log.first, len(log))[0]

    async def _turns(self, key: PortKey, port: PortExplanation) -> tuple[WorkerTurns, ...]:
        if not any(one.used for one in port.endpoints):
            return ()
        async with self._looking:
            found = await self._sources.inspect(key, 0)
        return tuple(
            WorkerTurns(
                one.worker,
                tuple(address_text(address) for address in one.cluster),
                tuple(address_text(address) for address in one.local),
            )
            for one in found
        )


def _json(answer: Any) -> web.Response:
    return web.Response(body=msgspec.json.encode(answer), content_type="application/json", headers=NOSNIFF)
