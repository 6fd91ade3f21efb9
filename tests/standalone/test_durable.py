"""The store on disk: what was told is kept, in whatever order writes, restarts and failures come."""

from __future__ import annotations

import asyncio
import json
import sqlite3
import tempfile
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import aiohttp
import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule

from tests.standalone.conftest import MERGE, SERVICES, Client, service
from userproxy.errors import StoreError
from userproxy.standalone.addresses import ServiceAddresses, parse_service_cidr
from userproxy.standalone.api import ApiLimits
from userproxy.standalone.database import FILE, Database
from userproxy.standalone.durable import DurableStore
from userproxy.standalone.kinds import NODE, SERVICE
from userproxy.standalone.objects import Json, key_of
from userproxy.standalone.registry import Registry
from userproxy.standalone.server import ApiServer, open_listener
from userproxy.standalone.store import ExpiredVersion
from userproxy.standalone.watching import WatchLimits


def opened(directory: Path, history: int = 100, start: int | None = None) -> DurableStore:
    return DurableStore(Database(directory), start=start, history=history)


def item(name: str, **spec: Any) -> Json:
    return {"metadata": {"name": name, "namespace": "default"}, "spec": spec}


def contents(store: DurableStore) -> dict[str, Json]:
    return dict(store.items(SERVICE))


@asynccontextmanager
async def serving(
    directory: Path, limits: ApiLimits | None = None, history: int = 100
) -> AsyncIterator[Client]:
    store = opened(directory, history)
    registry = Registry(store, ServiceAddresses(store, parse_service_cidr("10.96.0.0/16")))
    registry.create_initial_objects()
    server = ApiServer(registry, open_listener("127.0.0.1:0"), limits)
    await server.start()
    try:
        async with aiohttp.ClientSession(read_bufsize=2**22) as session:
            yield Client(session, server, registry)
    finally:
        await server.stop()
        await store.close()


# ---- restarts ----------------------------------------------------------------------------------------------------


async def test_objects_versions_notes_and_history_survive(tmp_path: Path) -> None:
    store = opened(tmp_path, start=7)
    store.put(SERVICE, item("a", x=1))
    store.put(SERVICE, item("b"))
    store.put(SERVICE, item("a", x=2))
    store.delete(SERVICE, "default/b")
    store.note("n/1", {"x": [1]})
    store.note("n/2", {})
    store.note("n/2", None)
    before = [(event.version, event.current, event.previous) for event in store.events_after(SERVICE, 7)]
    await store.close()
    await store.close()
    store = opened(tmp_path)
    assert store.version == 11
    assert contents(store) == {
        "default/a": {**item("a", x=2), "metadata": {**item("a")["metadata"], "resourceVersion": "10"}}
    }
    assert [
        (event.version, event.current, event.previous) for event in store.events_after(SERVICE, 7)
    ] == before
    assert [key for key, _item in store.items_at(SERVICE, 9)] == ["default/a", "default/b"]
    assert store.notes("n/") == {"n/1": {"x": [1]}}
    with pytest.raises(ExpiredVersion):
        store.events_after(SERVICE, 6)
    assert store.put(NODE, {"metadata": {"name": "n"}})["metadata"]["resourceVersion"] == "12"
    await store.close()


async def test_compaction_keeps_what_it_must_and_no_more(tmp_path: Path) -> None:
    store = opened(tmp_path, history=3, start=0)
    store.put(SERVICE, item("old"))
    for number in range(5):
        store.put(SERVICE, item("a", x=number))
    store.put(SERVICE, item("b"))
    store.delete(SERVICE, "default/b")
    await store.close()
    connection = sqlite3.connect(tmp_path / FILE)
    kept = [row[0] for row in connection.execute("SELECT version FROM revisions ORDER BY version")]
    connection.close()
    assert kept == [1, 5, 6, 7, 8]  # the history from 5 on, its beginning, and what is still there
    store = opened(tmp_path, history=3)
    assert set(contents(store)) == {"default/old", "default/a"}
    assert [event.version for event in store.events_after(SERVICE, 5)] == [6, 7, 8]
    with pytest.raises(ExpiredVersion) as caught:
        store.events_after(SERVICE, 4)
    assert caught.value.oldest == 5
    await store.close()


async def test_a_deletion_leaves_nothing_once_it_is_history(tmp_path: Path) -> None:
    store = opened(tmp_path, history=2, start=0)
    for number in range(20):
        store.put(SERVICE, item(f"s{number}"))
        store.delete(SERVICE, f"default/s{number}")
    await store.close()
    connection = sqlite3.connect(tmp_path / FILE)
    assert connection.execute("SELECT count(*) FROM revisions").fetchone() == (2,)
    connection.close()


async def test_a_smaller_history_is_cut_with_the_next_write(tmp_path: Path) -> None:
    store = opened(tmp_path, history=50, start=0)
    for number in range(40):
        store.put(SERVICE, item("a", x=number))
    await store.close()
    store = opened(tmp_path, history=5)
    store.put(SERVICE, item("a", x=40))
    assert len(store.events_after(SERVICE, 36)) == 5
    with pytest.raises(ExpiredVersion):
        store.events_after(SERVICE, 35)
    await store.close()


async def test_cluster_ips_stay_taken(tmp_path: Path) -> None:
    async with serving(tmp_path) as api:
        made = await api.ok("POST", SERVICES, service("a"))
    async with serving(tmp_path) as api:
        wanted = {"clusterIP": made["spec"]["clusterIP"]}
        status, answer = await api.call("POST", SERVICES, service("b", **wanted))
        assert (status, answer["reason"]) == (422, "Invalid")


async def test_a_watch_goes_on_after_a_restart_or_is_told_that_it_cannot(tmp_path: Path) -> None:
    async with serving(tmp_path, history=4) as api:
        first = await api.ok("POST", SERVICES, service("a"))
        await api.ok("POST", SERVICES, service("b"))
    async with serving(tmp_path, history=4) as api:
        version = first["metadata"]["resourceVersion"]
        async with api.watch(SERVICES, f"resourceVersion={version}") as stream:
            event = await stream.next()
            assert (event["type"], event["object"]["metadata"]["name"]) == ("ADDED", "b")
        for number in range(6):
            await api.ok("PATCH", f"{SERVICES}/a", {"metadata": {"labels": {"n": str(number)}}}, MERGE)
    async with serving(tmp_path, history=4) as api:
        async with api.watch(SERVICES, f"resourceVersion={version}") as stream:
            event = await stream.next()
            assert (event["type"], event["object"]["code"]) == ("ERROR", 410)
        status, answer = await api.call(
            "GET", f"{SERVICES}?resourceVersion={version}&resourceVersionMatch=Exact"
        )
        assert (status, answer["reason"]) == (410, "Expired")


# ---- what is told is on the disk ---------------------------------------------------------------------------------


def on_disk(directory: Path) -> set[str]:
    """What another process finds in the file now, as after a kill."""
    with tempfile.TemporaryDirectory() as copy:
        for file in directory.iterdir():
            if file.name.startswith(FILE) and not file.name.endswith("-shm"):
                (Path(copy) / file.name).write_bytes(file.read_bytes())
        connection = sqlite3.connect(Path(copy) / FILE)
        try:
            return {row[0] for row in connection.execute("SELECT key FROM revisions WHERE kind = 'services'")}
        finally:
            connection.close()


async def test_every_answer_and_event_is_on_disk_before_it_is_told(tmp_path: Path) -> None:
    async with serving(tmp_path) as api:
        async with api.watch(SERVICES, "resourceVersion=0") as stream:
            for number in range(5):
                await api.ok("POST", SERVICES, service(f"s{number}"))
                assert f"default/s{number}" in on_disk(tmp_path)
            api.registry.create(SERVICE, "default", service("inside"))
            for _ in range(6):
                event = await stream.next()
                assert f"default/{event['object']['metadata']['name']}" in on_disk(tmp_path)
        api.registry.create(SERVICE, "default", service("read"))
        assert (await api.call("GET", f"{SERVICES}/read"))[0] == 200
        assert "default/read" in on_disk(tmp_path)
        api.registry.create(SERVICE, "default", service("refused"))
        assert (await api.call("POST", SERVICES, service("refused")))[0] == 409
        assert "default/refused" in on_disk(tmp_path)


async def test_changes_are_written_without_anyone_waiting(tmp_path: Path) -> None:
    store = opened(tmp_path)
    store.put(SERVICE, item("a"))
    async with asyncio.timeout(5):
        while "default/a" not in on_disk(tmp_path):
            await asyncio.sleep(0.01)
    await store.close()


async def test_concurrent_writes_share_transactions(tmp_path: Path) -> None:
    async with serving(tmp_path) as api:
        async with asyncio.TaskGroup() as group:
            for number in range(60):
                group.create_task(api.ok("POST", SERVICES, service(f"s{number}")), name=f"write {number}")
        assert len(on_disk(tmp_path)) == 60


async def test_an_impatient_client_does_not_cancel_the_write_of_others(tmp_path: Path) -> None:
    store = opened(tmp_path)
    store.put(SERVICE, item("a"))
    async with asyncio.TaskGroup() as group:
        patient = group.create_task(store.settle(), name="patient")
        impatient = group.create_task(store.settle(), name="impatient")
        await asyncio.sleep(0)
        impatient.cancel()
        async with asyncio.timeout(5):
            await patient
    assert "default/a" in on_disk(tmp_path)
    await store.close()


async def test_a_disk_that_takes_nothing_is_told_and_overcome(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    async with serving(tmp_path) as api:
        blocker = sqlite3.connect(tmp_path / FILE, isolation_level=None)
        store = api.registry.store
        assert isinstance(store, DurableStore)
        store._database._connection.execute("PRAGMA busy_timeout = 10")
        blocker.execute("BEGIN IMMEDIATE")
        status, answer = await api.call("POST", SERVICES, service("a"))
        assert (status, answer["kind"]) == (500, "Status")
        assert "cannot be written" in answer["message"]
        assert (await api.call("POST", SERVICES, service("b")))[0] == 500
        with pytest.raises(StoreError):
            await store.settle()
        blocker.execute("ROLLBACK")
        blocker.close()
        async with asyncio.timeout(10):
            while store.fault is not None:
                await asyncio.sleep(0.05)
        # the first was made and could not be told; the second was refused at once
        assert [key for key, _item in store.items(SERVICE)] == ["default/a"]
        assert "can be written again" in caplog.text or caplog.text.count("cannot be written") == 1
        assert on_disk(tmp_path) == {"default/a"}


# ---- random writes and restarts ----------------------------------------------------------------------------------


class Watcher:
    """A client that keeps a copy: lists once, then watches from its version, over restarts too; lists again after 410."""

    def __init__(self, query: str) -> None:
        self.query = query
        self.copy: dict[str, Any] = {}
        self.version = 0
        self.lists = 0

    async def catch_up(self, api: Client, version: int) -> None:
        """Watch until everything up to a version has been seen."""
        async with asyncio.timeout(10):
            while self.version < version:
                if self.version == 0:
                    await self._list(api)
                    continue
                query = f"allowWatchBookmarks=true&resourceVersion={self.version}&{self.query}"
                async with api.watch("/api/v1/services", query) as stream:
                    # bookmarks come only when there is something newer than the start of the watch
                    touch = {"metadata": {"annotations": {"touched": str(version)}}}
                    await api.ok("PATCH", "/api/v1/namespaces/default", touch, MERGE)
                    async for line in stream.response.content:
                        self._take(json.loads(line))
                        if self.version >= version or self.version == 0:
                            break

    async def _list(self, api: Client) -> None:
        listed = await api.ok("GET", f"/api/v1/services?{self.query}")
        self.lists += 1
        self.copy = {key_of(each): each for each in listed["items"]}
        self.version = int(listed["metadata"]["resourceVersion"])

    def _take(self, event: dict[str, Any]) -> None:
        kind, shown = event["type"], event["object"]
        if kind == "ERROR":
            assert shown["code"] == 410
            self.version = 0
            return
        version = int(shown["metadata"]["resourceVersion"])
        assert version > self.version or kind == "BOOKMARK"
        self.version = version
        key = key_of(shown) if kind != "BOOKMARK" else ""
        if kind == "DELETED":
            del self.copy[key]
        elif kind != "BOOKMARK":
            assert (key in self.copy) == (kind == "MODIFIED")
            self.copy[key] = {
                name: value for name, value in shown.items() if name not in ("kind", "apiVersion")
            }


class WritesAndRestarts(RuleBasedStateMachine):
    """The server is stopped and started at will; `model` is what clients were told."""

    def __init__(self) -> None:
        super().__init__()
        self.runner = asyncio.Runner()
        self.directory = tempfile.TemporaryDirectory()
        self.model: dict[str, str] = {}
        self.version = 0
        self.watchers = [
            Watcher(""),
            Watcher("labelSelector=l%3Dx"),
            Watcher("fieldSelector=metadata.name%3Da"),
        ]
        self.start()

    def start(self) -> None:
        limits = ApiLimits(watch=WatchLimits(backlog=50, bookmark_period=0.01))
        self.server = serving(Path(self.directory.name), limits, history=6)
        self.api = self.runner.run(self.server.__aenter__())

    def end(self) -> None:
        self.runner.run(self.server.__aexit__(None, None, None))

    def call(self, *arguments: Any) -> Any:
        return self.runner.run(self.api.ok(*arguments))

    @rule(name=st.sampled_from("abc"), label=st.sampled_from("xy"))
    def write(self, name: str, label: str) -> None:
        labels = {"labels": {"l": label}}
        if name in self.model:
            self.call("PATCH", f"{SERVICES}/{name}", {"metadata": labels}, MERGE)
        else:
            self.call("POST", SERVICES, {**service(name), "metadata": {"name": name, **labels}})
        self.model[name] = label

    @rule(name=st.sampled_from("abc"))
    def delete(self, name: str) -> None:
        if self.model.pop(name, None) is not None:
            self.call("DELETE", f"{SERVICES}/{name}")

    @rule()
    def restart(self) -> None:
        self.end()
        self.start()

    @rule(number=st.integers(0, 2))
    def watch(self, number: int) -> None:
        watcher = self.watchers[number]
        self.runner.run(watcher.catch_up(self.api, self.api.registry.store.version))
        listed = self.call("GET", f"/api/v1/services?{watcher.query}")
        assert watcher.copy == {key_of(each): each for each in listed["items"]}

    @invariant()
    def the_server_has_what_was_told(self) -> None:
        listed = self.call("GET", SERVICES)
        assert {
            each["metadata"]["name"]: each["metadata"]["labels"]["l"] for each in listed["items"]
        } == self.model
        version = int(listed["metadata"]["resourceVersion"])
        assert version >= self.version
        self.version = version

    def teardown(self) -> None:
        for number in range(3):
            self.watch(number)
        self.end()
        self.runner.close()
        self.directory.cleanup()


WritesAndRestarts.TestCase.settings = settings(max_examples=15, stateful_step_count=20, deadline=None)
TestWritesAndRestarts = WritesAndRestarts.TestCase
