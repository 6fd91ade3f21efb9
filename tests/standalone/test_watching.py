"""Watches over real HTTP: where they begin, what they show, how they end."""

from __future__ import annotations

import asyncio
import json
import socket
from pathlib import Path
from typing import Any

import pytest

from tests.standalone.conftest import (
    MERGE,
    SERVICES,
    SLICES,
    Client,
    Stream,
    endpoint_slice,
    service,
    serving,
)
from userproxy.standalone.api import ApiLimits
from userproxy.standalone.kinds import ENDPOINT_SLICE
from userproxy.standalone.watching import WatchLimits

DATA = Path(__file__).parent / "data"
ALL = "/api/v1/services"
STREAMING = "sendInitialEvents=true&resourceVersionMatch=NotOlderThan&allowWatchBookmarks=true"


def names(events: list[dict[str, Any]]) -> list[tuple[str, str]]:
    return [(event["type"], event["object"]["metadata"].get("name", "")) for event in events]


async def take(stream: Stream, count: int) -> list[dict[str, Any]]:
    return [await stream.next() for _ in range(count)]


async def version(api: Client) -> str:
    return str((await api.ok("GET", ALL))["metadata"]["resourceVersion"])


async def change_watched(api: Client) -> None:
    """The changes that were made while the streams of the recordings ran."""
    path = f"{SERVICES}/watched"
    first = service("watched", selector={"app": "nginx"})
    await api.ok("POST", SERVICES, {**first, "metadata": {"name": "watched", "labels": {"app": "shop"}}})
    for patch in (
        {"metadata": {"labels": {"tier": "front"}}},
        {"metadata": {"labels": {"tier": "front"}}},  # changes nothing
        {"metadata": {"labels": {"app": "other"}}},
        {"metadata": {"labels": {"app": "shop"}}},
        {"spec": {"type": "LoadBalancer"}},
    ):
        await api.ok("PATCH", path, patch, MERGE)
    await api.ok(
        "PATCH", f"{path}/status", {"status": {"loadBalancer": {"ingress": [{"ip": "192.0.2.77"}]}}}, MERGE
    )
    await api.ok("PATCH", path, {"spec": {"ports": [{"port": 81}]}}, MERGE)
    await api.ok("DELETE", path)


@pytest.mark.parametrize(
    "recording",
    ["services.from-resource-version", "services.label-selector", "services.label-selector-not"],
)
async def test_streams_are_those_of_the_recordings(api: Client, recording: str) -> None:
    recorded = [json.loads(line) for line in (DATA / f"{recording}.jsonl").read_text().splitlines()]
    query = (DATA / f"{recording}.query").read_text().strip()
    start = await version(api)
    async with api.watch(ALL, f"{query}&resourceVersion={start}") as stream:
        await change_watched(api)
        events = await take(stream, len(recorded))
    shown = [(event["type"], event["object"]["metadata"].get("labels")) for event in events]
    assert shown == [(event["type"], event["object"]["metadata"].get("labels")) for event in recorded]
    assert [list(event["object"]["spec"]) for event in events] == [
        list(each["object"]["spec"]) for each in recorded
    ]
    versions = [int(event["object"]["metadata"]["resourceVersion"]) for event in events]
    assert versions == sorted(set(versions))
    assert versions[0] > int(start)


async def test_bookmarks_have_the_form_of_the_recordings(api: Client) -> None:
    forms = json.loads((DATA / "bookmarks.json").read_text())
    for path, recorded in forms.items():
        async with api.watch(path, STREAMING) as stream:
            bookmark = await stream.next()
            while bookmark["type"] != "BOOKMARK":
                bookmark = await stream.next()
        metadata = bookmark["object"].pop("metadata")
        assert metadata.pop("annotations") == {"k8s.io/initial-events-end": "true"}
        assert list(metadata) == ["resourceVersion"]
        recorded["object"].pop("metadata")
        assert json.dumps(bookmark) == json.dumps(recorded)


async def test_a_streaming_list_ends_with_its_bookmark_and_goes_on_live(api: Client) -> None:
    for name in ("b", "a"):
        await api.ok("POST", SERVICES, service(name))
    now = await version(api)
    async with api.watch(ALL, STREAMING) as stream:
        first = await take(stream, 3)
        assert names(first) == [("ADDED", "a"), ("ADDED", "b"), ("BOOKMARK", "")]
        assert first[2]["object"]["metadata"]["resourceVersion"] == now
        await api.ok("POST", SERVICES, service("c"))
        assert names([await stream.next()]) == [("ADDED", "c")]


async def test_a_streaming_list_of_nothing_is_one_bookmark(api: Client) -> None:
    async with api.watch(SLICES, STREAMING) as stream:
        assert names([await stream.next()]) == [("BOOKMARK", "")]


@pytest.mark.parametrize("query", ["", "resourceVersion=0"])
async def test_without_a_version_what_is_there_comes_first(api: Client, query: str) -> None:
    await api.ok("POST", SERVICES, service("a"))
    async with api.watch(ALL, query) as stream:
        assert names([await stream.next()]) == [("ADDED", "a")]
        await api.ok("DELETE", f"{SERVICES}/a")
        assert names([await stream.next()]) == [("DELETED", "a")]


async def test_an_expired_version_is_one_error_event_and_the_end() -> None:
    async with serving(history=3) as api:
        old = await version(api)
        for name in "abcde":
            await api.ok("POST", SERVICES, service(name))
        async with api.watch(ALL, f"resourceVersion={old}") as stream:
            (event,) = await stream.rest()
        recorded = json.loads((DATA / "services.expired.jsonl").read_text())
        for each in (event, recorded):
            assert each["object"].pop("message").startswith("too old resource version: ")
        assert event == recorded


async def test_a_version_of_an_earlier_server_is_expired(api: Client) -> None:
    async with api.watch(ALL, "resourceVersion=12345") as stream:
        (event,) = await stream.rest()
    assert event["object"]["code"] == 410


async def test_a_version_from_the_future_is_silent_until_the_timeout(api: Client) -> None:
    async with api.watch(ALL, "resourceVersion=9000000000000000&timeoutSeconds=1") as stream:
        await api.ok("POST", SERVICES, service("a"))
        assert await stream.rest() == []


async def test_bookmarks_come_again_and_again_once_something_changed() -> None:
    async with serving(ApiLimits(watch=WatchLimits(bookmark_period=0.1))) as api:
        start = await version(api)
        async with api.watch(ALL, f"resourceVersion={start}&allowWatchBookmarks=true") as stream:
            with pytest.raises(TimeoutError):
                await stream.next(0.35)
        async with api.watch(ALL, f"resourceVersion={start}&allowWatchBookmarks=true") as stream:
            await api.ok("POST", SLICES, endpoint_slice("other-kind", "127.0.0.1"))
            first, second = await stream.next(), await stream.next()
        assert names([first, second]) == [("BOOKMARK", "")] * 2
        assert int(first["object"]["metadata"]["resourceVersion"]) > int(start)
        async with api.watch(ALL, f"resourceVersion={start}&timeoutSeconds=1") as stream:
            assert await stream.rest() == []  # not asked for


async def test_a_bookmark_comes_before_the_timeout(api: Client) -> None:
    start = await version(api)
    async with api.watch(ALL, f"resourceVersion={start}&timeoutSeconds=3&allowWatchBookmarks=true") as stream:
        await api.ok("POST", SERVICES, service("a"))
        assert names(await stream.rest()) == [("ADDED", "a"), ("BOOKMARK", "")]


async def test_namespaces_and_names_are_kept_apart(api: Client) -> None:
    await api.ok("POST", "/api/v1/namespaces", {"metadata": {"name": "other"}})
    start = await version(api)
    named = f"fieldSelector=metadata.name%3Da&resourceVersion={start}"
    async with api.watch(SERVICES, named) as one, api.watch("/api/v1/namespaces/other/services") as elsewhere:
        await api.ok("POST", "/api/v1/namespaces/other/services", service("a"))
        await api.ok("POST", SERVICES, service("b"))
        await api.ok("POST", SERVICES, service("a"))
        assert (await one.next())["object"]["metadata"]["namespace"] == "default"
        assert (await elsewhere.next())["object"]["metadata"]["namespace"] == "other"


async def test_the_old_watch_path_and_the_spellings_of_true(api: Client) -> None:
    await api.ok("POST", SERVICES, service("a"))
    for path in (
        "/api/v1/watch/namespaces/default/services/a?timeoutSeconds=1",
        f"{ALL}?watch=True&timeoutSeconds=1",
    ):
        async with api.session.get(api.url + path) as response:
            assert names(await Stream(response).rest()) == [("ADDED", "a")]


async def test_a_slow_client_is_cut_off_and_costs_nobody_else() -> None:
    async with serving(ApiLimits(watch=WatchLimits(backlog=50))) as api:
        host, port = api.server.address.split(":")
        with socket.create_connection((host, int(port))) as slow:
            slow.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
            slow.sendall(f"GET {ALL}?watch=1 HTTP/1.1\r\nHost: {host}\r\n\r\n".encode())
            async with asyncio.timeout(5):
                while not api.server.watches:
                    await asyncio.sleep(0.01)
            big = {
                "metadata": {"name": "a", "annotations": {"big": "x" * 200_000}},
                "spec": {"ports": [{"port": 80}]},
            }
            await api.ok("POST", SERVICES, big)
            async with asyncio.timeout(20):
                for count in range(2000):
                    await api.ok("PATCH", f"{SERVICES}/a", {"metadata": {"labels": {"n": str(count)}}}, MERGE)
                    if not api.server.watches:
                        break
            assert api.server.watches == 0
            assert count > 50


async def test_a_client_that_leaves_ends_its_watch(api: Client) -> None:
    async with api.watch(ALL):
        assert api.server.watches == 1
    async with asyncio.timeout(5):
        while api.server.watches:
            await asyncio.sleep(0.01)


async def test_stopping_the_server_ends_streams_in_order(api: Client) -> None:
    async with api.watch(ALL) as stream:
        await api.server.stop()
        assert await stream.rest() == []


async def test_writes_in_one_burst_arrive_in_order(api: Client) -> None:
    async with api.watch(SLICES, f"resourceVersion={await version(api)}") as stream:
        for number in range(1500):
            api.registry.create(ENDPOINT_SLICE, "default", endpoint_slice(f"s{number}", "127.0.0.1"))
        events = await take(stream, 1500)
    assert [name for _type, name in names(events)] == [f"s{number}" for number in range(1500)]
