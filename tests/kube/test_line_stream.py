"""How a stream of lines can end, over a real connection."""

from __future__ import annotations

import asyncio

import pytest
from aiohttp import web

from tests.kube.test_client import client, serving
from userproxy.kube import line_stream
from userproxy.kube.failures import RequestFailed
from userproxy.kube.line_stream import LineStream


async def read_all(pieces: list[bytes], ending: str) -> tuple[list[bytes], RequestFailed | None, bool]:
    """Return the lines read from a server that sends `pieces` and then ends, is cut or falls silent; and the failure."""

    async def handler(request: web.Request) -> web.StreamResponse:
        response = web.StreamResponse()
        await response.prepare(request)
        for piece in pieces:
            await response.write(piece)
            await asyncio.sleep(0.01)
        if ending == "cut" and request.transport is not None:
            request.transport.abort()
        if ending == "silence":
            await asyncio.sleep(30)
        return response

    found: list[bytes] = []
    async with serving(handler) as url, client(url) as api, api.stream("/", {}, "watch") as stream:
        lines = LineStream(stream)
        try:
            while (some := await lines.read(0.2)) is not None:
                found += some
        except RequestFailed as failed:
            return found, failed, lines.heard
    return found, None, lines.heard


async def test_clean_end() -> None:
    assert await read_all([b"one\ntw", b"o\n", b"\n"], "end") == ([b"one", b"two"], None, True)


@pytest.mark.parametrize("ending", ["end", "cut"])
async def test_end_inside_a_line(ending: str) -> None:
    found, failed, _ = await read_all([b"one\n", b"tw"], ending)
    assert found == [b"one"]
    assert failed is not None
    assert (failed.reason, failed.relist) == ("cut", False)


async def test_silence_after_a_line_lets_the_watch_go_on_from_there() -> None:
    found, failed, heard = await read_all([b"one\n"], "silence")
    assert failed is not None
    assert (found, failed.reason, failed.relist, heard) == ([b"one"], "stalled", False, True)


@pytest.mark.parametrize("pieces", [[], [b"half"], [b"\n"]])
async def test_silence_from_the_start_needs_a_list(pieces: list[bytes]) -> None:
    _, failed, heard = await read_all(pieces, "silence")
    assert failed is not None
    assert (failed.reason, failed.relist, heard) == ("stalled", True, False)


async def test_line_past_the_bound(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(line_stream, "MAX_LINE_BYTES", 100)
    found, failed, _ = await read_all([b"one\n", b"x" * 101], "silence")
    assert failed is not None
    assert (found, failed.reason, failed.relist) == ([b"one"], "line_too_long", True)
