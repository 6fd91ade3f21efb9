"""The faults of an API server and of what stands before it, each for one request of a `FaultyServer`.

Each is what was seen in the field: load balancers that answer text, streams that fall silent, versions that expire.
"""

from __future__ import annotations

import asyncio
import random

from aiohttp import web

from tests.kube.faulty_server import Call, Fault, FaultyServer, status


async def text_503(server: FaultyServer, call: Call) -> web.StreamResponse:
    """A load balancer without a healthy API server."""
    return web.Response(status=503, text="no healthy upstream")


async def empty_200(server: FaultyServer, call: Call) -> web.StreamResponse:
    """A proxy that answers for a dead server."""
    return web.Response(status=200)


async def status_200(server: FaultyServer, call: Call) -> web.StreamResponse:
    """JSON that is neither a list nor an event."""
    return web.json_response({"kind": "Status", "status": "Success"})


async def gone_410(server: FaultyServer, call: Call) -> web.StreamResponse:
    """Version expired, as an HTTP status."""
    return status(410, "The resourceVersion for the provided list is too old.")


async def gone_in_stream(server: FaultyServer, call: Call) -> web.StreamResponse:
    """Version expired, as an event of the stream."""
    response = await call.open_stream()
    await response.write(server.error(call, 410, "too old resource version: 1 (9)"))
    return response


async def too_large_504(server: FaultyServer, call: Call) -> web.StreamResponse:
    """The version asked for is of the future."""
    return status(504, "Timeout: Too large resource version: 9, current: 1", **{"Retry-After": "1"})


async def refused_422(server: FaultyServer, call: Call) -> web.StreamResponse:
    """The server knows streaming lists, but they are switched off."""
    return status(
        422, "sendInitialEvents is forbidden for watch unless the WatchList feature gate is enabled"
    )


async def too_many_429(server: FaultyServer, call: Call) -> web.StreamResponse:
    """The server is overloaded and says when to come again."""
    return status(429, "Too many requests, please try again later.", **{"Retry-After": "1"})


async def forbidden_403(server: FaultyServer, call: Call) -> web.StreamResponse:
    """A right is missing."""
    return status(403, f'{call.resource} is forbidden: User "bob" cannot watch resource "{call.resource}"')


async def truncated_line(server: FaultyServer, call: Call) -> web.StreamResponse:
    """The connection is cut inside a line."""
    response = await call.open_stream()
    since = int(call.query.get("resourceVersion") or 0)
    news = [
        server.event(call, kind, item)
        for version, name, kind, item in server.history
        if version > since and name == call.resource
    ]
    whole = news[0] if news else b""
    half = news[1] if len(news) > 1 else server.bookmark(call, server.version)
    await response.write(whole + half[: len(half) // 2])
    await asyncio.sleep(0.02)
    call.cut()
    return response


async def garbage_line(server: FaultyServer, call: Call) -> web.StreamResponse:
    """A line that is no JSON in an otherwise fine stream."""
    response = await call.open_stream()
    await response.write(b"upstream connect error or disconnect/reset before headers\n")
    await server.follow(call, response, server.version, asyncio.get_running_loop().time() + 60)
    return response


async def huge_line(server: FaultyServer, call: Call) -> web.StreamResponse:
    """A line of 20 MB for an object that is in the store, then a stream that goes on."""
    response = await call.open_stream()
    items = list(server.objects[call.resource].values())
    item = items[0] if items else {"metadata": {"name": "huge", "namespace": "default"}}
    padded = {**item, "metadata": {**item["metadata"], "annotations": {"padding": "x" * 20_000_000}}}
    await response.write(server.event(call, "MODIFIED", padded))
    await server.follow(call, response, server.version, asyncio.get_running_loop().time() + 60)
    return response


async def silence(server: FaultyServer, call: Call) -> web.StreamResponse:
    """The stream stays open and says nothing any more."""
    response = await call.open_stream()
    await asyncio.sleep(60)
    return response


async def silence_before_header(server: FaultyServer, call: Call) -> web.StreamResponse:
    """The request is taken and never answered."""
    await asyncio.sleep(60)
    return web.Response()


async def shuffled_burst_cut(server: FaultyServer, call: Call) -> web.StreamResponse:
    """Half of the initial events in no order, so that the last version seen is an old one, then a cut."""
    response = await call.open_stream()
    items = sorted(
        server.objects[call.resource].values(), key=lambda item: -int(item["metadata"]["resourceVersion"])
    )
    half = items[: max(1, len(items) // 2)]
    low = items[-1:]
    await response.write(b"".join(server.event(call, "ADDED", item) for item in half + low))
    await asyncio.sleep(0.02)
    call.cut()
    return response


async def shuffled_burst(server: FaultyServer, call: Call) -> web.StreamResponse:
    """All initial events in no order, piece by piece, and the mark at the end."""
    response = await call.open_stream()
    items = list(server.objects[call.resource].values())
    random.Random(7).shuffle(items)
    version = server.version
    for item in items:
        line = server.event(call, "ADDED", item)
        await response.write(line[:40])
        await response.write(line[40:])
    await response.write(server.bookmark(call, version, initial_end=True))
    await server.follow(call, response, version, asyncio.get_running_loop().time() + 60)
    return response


def late_end(seconds: float) -> Fault:
    """The mark of the end comes `seconds` after the burst, and something is changed in between."""

    async def fault(server: FaultyServer, call: Call) -> web.StreamResponse:
        response = await call.open_stream()
        version = await server.send_initial(call, response, mark_end=False)
        await asyncio.sleep(seconds)
        news = [entry for entry in server.history if entry[0] > version and entry[1] == call.resource]
        await response.write(b"".join(server.event(call, kind, item) for _, _, kind, item in news) or b"\n")
        version = server.version
        await response.write(server.bookmark(call, version, initial_end=True))
        await server.follow(call, response, version, asyncio.get_running_loop().time() + 60)
        return response

    return fault


async def ends_at_once(server: FaultyServer, call: Call) -> web.StreamResponse:
    """A watch that is a proper one and ends before anything was sent."""
    return await call.open_stream()


async def half_a_line(server: FaultyServer, call: Call) -> web.StreamResponse:
    """The answer ends properly, as a proxy that is stopped ends it, but inside a line."""
    response = await call.open_stream()
    await response.write(server.bookmark(call, server.version)[:20])
    return response


async def half_a_burst(server: FaultyServer, call: Call) -> web.StreamResponse:
    """The answer ends properly, but inside the initial events."""
    response = await call.open_stream()
    await response.write(server.event(call, "ADDED", next(iter(server.objects[call.resource].values()))))
    return response


async def error_500_in_stream(server: FaultyServer, call: Call) -> web.StreamResponse:
    """An ERROR event that is not about versions."""
    response = await call.open_stream()
    await response.write(server.error(call, 500, "unable to decode an event from the watch stream"))
    return response


WATCH_FAULTS: dict[str, Fault] = {
    fault.__name__: fault
    for fault in (
        text_503,
        empty_200,
        status_200,
        gone_410,
        gone_in_stream,
        truncated_line,
        garbage_line,
        huge_line,
        silence,
        silence_before_header,
        ends_at_once,
        half_a_line,
        error_500_in_stream,
        forbidden_403,
    )
}
"""Faults of any watch, also of a streaming list."""

LIST_FAULTS: dict[str, Fault] = {
    fault.__name__: fault
    for fault in (text_503, empty_200, status_200, gone_410, too_large_504, silence, forbidden_403)
}
"""Faults of a plain list."""
