"""Complete lists from pages, and answers that are none."""

from __future__ import annotations

import json

import pytest
from aiohttp import web

from tests.kube.objects import Object, endpoint_slice
from tests.kube.test_client import client, serving
from userproxy.kube import lister
from userproxy.kube.decode import SLICES
from userproxy.kube.failures import RequestFailed
from userproxy.kube.lister import fetch_list
from userproxy.kube.reading import ObjectReader
from userproxy.kube.store import Listing


async def listed(url: str, said: list[str] | None = None) -> tuple[str, Listing]:
    async with client(url) as api:
        reader = ObjectReader(SLICES, (said if said is not None else []).append)
        return await fetch_list(api, "/slices", {"labelSelector": "!x"}, "endpointslices", "", reader)


def page(version: str, following: str, *items: Object) -> web.Response:
    return web.json_response(
        {"metadata": {"resourceVersion": version, "continue": following}, "items": list(items)}
    )


async def test_pages_with_selectors_on_each() -> None:
    asked: list[str] = []

    async def handler(request: web.Request) -> web.Response:
        asked.append(request.query_string)
        number = len(asked)
        return page(
            "7", "more" if number < 3 else "", endpoint_slice(f"s{number}", "web", f"10.1.0.{number}")
        )

    async with serving(handler) as url:
        version, listing = await listed(url)
    assert version == "7"
    assert sorted(key.name for key in listing.objects) == ["s1", "s2", "s3"]
    assert asked == ["limit=500&labelSelector=!x"] + ["limit=500&continue=more&labelSelector=!x"] * 2


async def test_bad_object_in_a_list_is_skipped() -> None:
    async def handler(request: web.Request) -> web.Response:
        good, bad = endpoint_slice("good", "web", "10.1.0.1"), endpoint_slice("bad", "web", endpoints="x")
        return page("7", "", bad, good)

    said: list[str] = []
    async with serving(handler) as url:
        _, listing = await listed(url, said)
    assert [key.name for key in listing.objects] == ["good"]
    assert [key.name for key in listing.unreadable] == ["bad"]
    assert said[0].startswith("EndpointSlice default/bad cannot be read")


async def test_endless_pages_are_given_up(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(lister, "MOST_PAGES", 20)

    async def handler(request: web.Request) -> web.Response:
        return page("7", "again")

    async with serving(handler) as url:
        with pytest.raises(RequestFailed, match=r"more than 20 pages when asked to list endpointslices"):
            await listed(url)


@pytest.mark.parametrize(
    "answer", ["", "no healthy upstream", json.dumps({"kind": "Status"}), json.dumps({"items": []})]
)
async def test_what_is_no_list(answer: str) -> None:
    async def handler(request: web.Request) -> web.Response:
        return web.Response(text=answer)

    async with serving(handler) as url:
        with pytest.raises(
            RequestFailed, match=r"did not answer with a list when asked to list endpointslices"
        ) as caught:
            await listed(url)
    assert caught.value.reason == "bad_list"
