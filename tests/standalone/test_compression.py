"""Large answers are packed for clients that take gzip; small ones, other clients and watches are left alone."""

from __future__ import annotations

import gzip
import json

import aiohttp
import pytest

from tests.standalone.conftest import SERVICES, Client, service


async def fill(api: Client) -> None:
    for number in range(60):
        item = service(f"s{number}")
        item["metadata"]["annotations"] = {"filler": f"{number} " * 800}
        await api.ok("POST", SERVICES, item)


async def fetch(api: Client, path: str, accept: str) -> tuple[str, str, bytes]:
    headers = {"Accept-Encoding": accept}
    async with aiohttp.ClientSession(auto_decompress=False) as session:
        async with session.get(api.url + path, headers=headers) as response:
            assert response.status == 200
            found = response.headers
            return found.get("Content-Encoding", ""), found.get("Content-Type", ""), await response.read()


@pytest.mark.parametrize("accept", ["gzip", "deflate, gzip;q=1.0", "GZIP"])
async def test_large_lists_are_packed(api: Client, accept: str) -> None:
    await fill(api)
    encoding, content_type, body = await fetch(api, SERVICES, accept)
    assert (encoding, content_type) == ("gzip", "application/json")
    plain = gzip.decompress(body)
    assert len(plain) > 128 * 1024 > len(body)
    assert (await fetch(api, SERVICES, "identity"))[2] == plain
    assert len(json.loads(plain)["items"]) == 60


@pytest.mark.parametrize("accept", ["", "identity", "deflate", "gzip;q=0", "gzip; q=0.0"])
async def test_other_clients_get_plain_text(api: Client, accept: str) -> None:
    await fill(api)
    encoding, _type, body = await fetch(api, SERVICES, accept)
    assert encoding == ""
    assert len(json.loads(body)["items"]) == 60


async def test_small_answers_are_plain(api: Client) -> None:
    assert (await fetch(api, SERVICES, "gzip"))[0] == ""


async def test_watches_are_plain(api: Client) -> None:
    await fill(api)
    headers = {"Accept-Encoding": "gzip"}
    async with api.session.get(f"{api.url}{SERVICES}?watch=1&timeoutSeconds=1", headers=headers) as response:
        assert "Content-Encoding" not in response.headers
        assert len((await response.read()).splitlines()) >= 60
