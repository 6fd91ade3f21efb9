"""The store: versions, history, and what a watcher can rebuild from its events."""

from __future__ import annotations

import asyncio
import contextlib
import json
import uuid
from typing import Any

import aiohttp
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.standalone.conftest import Client, serving
from userproxy.standalone.api import ApiLimits
from userproxy.standalone.kinds import NODE, SERVICE
from userproxy.standalone.objects import key_of, new_uid
from userproxy.standalone.store import ExpiredVersion, MemoryStore
from userproxy.standalone.watching import WatchLimits


def item(name: str, namespace: str = "default", **metadata: Any) -> dict[str, Any]:
    return {"metadata": {"name": name, "namespace": namespace, **metadata}, "spec": {"clusterIPs": []}}


def test_versions_grow_over_all_kinds() -> None:
    store = MemoryStore(start=7)
    assert store.put(SERVICE, item("a"))["metadata"]["resourceVersion"] == "8"
    assert store.put(NODE, item("n", ""))["metadata"]["resourceVersion"] == "9"
    assert store.delete(SERVICE, "default/a")["metadata"]["resourceVersion"] == "10"
    assert store.version == 10
    with pytest.raises(KeyError):
        store.delete(SERVICE, "default/a")


def test_a_store_begins_above_the_versions_of_earlier_ones() -> None:
    first = MemoryStore()
    for _ in range(1000):
        first.put(SERVICE, item("a"))
    with pytest.raises(ExpiredVersion):
        MemoryStore(start=first.version + 1).events_after(SERVICE, first.version)


def test_history_is_bounded_for_each_kind() -> None:
    store = MemoryStore(start=0, history=2)
    for number in range(4):
        store.put(SERVICE, item(f"s{number}"))
    store.put(NODE, item("n", ""))
    assert [event.key for event in store.events_after(SERVICE, 2)] == ["default/s2", "default/s3"]
    assert len(store.events_after(NODE, 0)) == 1
    with pytest.raises(ExpiredVersion) as caught:
        store.events_after(SERVICE, 1)
    assert caught.value.oldest == 2


operations = st.lists(
    st.tuples(
        st.sampled_from(["put", "delete"]), st.sampled_from(["a", "b", "ab"]), st.sampled_from(["n", "n-x"])
    ),
    max_size=30,
)


@given(operations)
@settings(max_examples=60, deadline=None)
def test_any_earlier_state_can_be_had_while_it_is_known(steps: list[tuple[str, str, str]]) -> None:
    store = MemoryStore(start=0, history=100)
    states: dict[int, list[str]] = {0: []}
    for verb, name, namespace in steps:
        key = f"{namespace}/{name}"
        if verb == "put":
            store.put(SERVICE, item(name, namespace))
        elif store.get(SERVICE, key) is not None:
            store.delete(SERVICE, key)
        states[store.version] = [each for each, _item in store.items(SERVICE)]
    for version, keys in states.items():
        assert [key for key, _item in store.items_at(SERVICE, version)] == keys == sorted(keys)
        assert [key for key, _item in store.items_at(SERVICE, version, prefix="n/")] == [
            key for key in keys if key.startswith("n/")
        ]


writes = st.lists(
    st.tuples(
        st.sampled_from(["create", "label", "delete", "pause"]),
        st.sampled_from(["a", "b", "c"]),
        st.sampled_from(["x", "y"]),
    ),
    max_size=25,
)


class Watcher:
    """A client that keeps a copy of what it watches: lists by streaming, and lists again whenever its stream ends."""

    def __init__(self, api: Client, query: str) -> None:
        self._api = api
        self._query = query
        self.copy: dict[str, Any] = {}
        self.version = 0

    async def run(self) -> None:
        streaming = "sendInitialEvents=true&resourceVersionMatch=NotOlderThan&allowWatchBookmarks=true"
        while True:
            fresh: dict[str, Any] = {}
            # a watcher that fell behind is cut off, in the middle of its stream
            with contextlib.suppress(aiohttp.ClientPayloadError):
                async with self._api.watch("/api/v1/services", f"{streaming}&{self._query}") as stream:
                    async for line in stream.response.content:
                        self._take(json.loads(line), fresh)

    def _take(self, event: dict[str, Any], fresh: dict[str, Any]) -> None:
        kind, shown = event["type"], event["object"]
        if kind == "BOOKMARK":
            self.copy, self.version = fresh, int(shown["metadata"]["resourceVersion"])
        elif kind == "DELETED":
            del fresh[key_of(shown)]
        else:
            assert (key_of(shown) in fresh) == (kind == "MODIFIED")
            fresh[key_of(shown)] = shown


async def play(steps: list[tuple[str, str, str]]) -> None:
    limits = ApiLimits(watch=WatchLimits(backlog=6, bookmark_period=0.02))
    async with serving(limits, history=8) as api:
        selectors = ["", "labelSelector=l%3Dx", "fieldSelector=metadata.name%3Da"]
        watchers = [Watcher(api, selector) for selector in selectors]
        async with asyncio.TaskGroup() as group:
            tasks = [group.create_task(watcher.run(), name=f"watch {watcher!r}") for watcher in watchers]
            for verb, name, label in steps:
                await write(api, verb, name, label)
            version = api.registry.store.version
            async with asyncio.timeout(10):
                while any(watcher.version < version for watcher in watchers):
                    await asyncio.sleep(0.005)
            for watcher, selector in zip(watchers, selectors, strict=True):
                listed = await api.ok("GET", f"/api/v1/services?{selector}")
                head = {"kind": "Service", "apiVersion": "v1"}
                assert watcher.copy == {key_of(each): {**head, **each} for each in listed["items"]}
            for task in tasks:
                task.cancel()


async def write(api: Client, verb: str, name: str, label: str) -> None:
    present = api.registry.store.get(SERVICE, f"default/{name}") is not None
    if verb == "pause":
        await asyncio.sleep(0.002)
    elif verb == "delete" and present:
        api.registry.delete(SERVICE, "default", name)
    elif verb == "create" and not present:
        api.registry.create(
            SERVICE,
            "default",
            {"metadata": {"name": name, "labels": {"l": label}}, "spec": {"ports": [{"port": 1}]}},
        )
    elif verb == "label" and present:
        api.registry.change(
            SERVICE,
            "default",
            name,
            lambda old: {**old, "metadata": {**old["metadata"], "labels": {"l": label}}},
        )


@given(writes)
@settings(max_examples=25, deadline=None)
def test_after_random_writes_every_watcher_has_what_the_server_has(steps: list[tuple[str, str, str]]) -> None:
    asyncio.run(play(steps))


def test_uids_are_random_uuids() -> None:
    made = [uuid.UUID(new_uid()) for _number in range(200)]
    assert {(each.version, each.variant) for each in made} == {(4, uuid.RFC_4122)}
    assert len(set(made)) == 200
    assert str(made[0]) == str(made[0]).lower()
