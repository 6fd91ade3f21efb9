"""kill -9 at any moment under writes over HTTP: nothing that was acknowledged or seen is lost, no version comes twice."""

from __future__ import annotations

import asyncio
import json
import random
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import aiohttp

from tests.standalone.conftest import MERGE, SERVICES
from userproxy.standalone.objects import key_of

ROUNDS = 6
WRITERS = 6
ROOT = Path(__file__).parent.parent.parent


@contextmanager
def server(directory: Path, *options: str) -> Iterator[tuple[subprocess.Popen[str], str]]:
    """Run one; yields the process and its URL."""
    command = [sys.executable, "-m", "tests.standalone.server_process", str(directory), *options]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True, cwd=ROOT) as process:
        assert process.stdout is not None
        try:
            url = process.stdout.readline().strip()
            assert url.startswith("http"), "the server did not start"
            yield process, url
        finally:
            process.kill()
            process.wait()


class Writer:
    """Writes objects of its own one after the other and knows what was acknowledged, and what may have been made."""

    def __init__(self, number: int, chance: random.Random) -> None:
        self._number = number
        self._chance = chance
        self.acknowledged: dict[str, str] = {}
        """Value of each object, by name."""
        self.unsure: dict[str, str | None] = {}
        """What the last request would have made, None a deletion; the server died before it answered."""
        self.versions: list[int] = []

    async def run(self, session: aiohttp.ClientSession, url: str) -> None:
        """Write until the server is gone."""
        try:
            while True:
                await self._write(session, url)
        except aiohttp.ClientError:
            return

    async def _write(self, session: aiohttp.ClientSession, url: str) -> None:
        name = f"w{self._number}-{self._chance.randrange(5)}"
        value = str(self._chance.randrange(10**9))
        labels = {"metadata": {"name": name, "labels": {"value": value}}}
        path = f"{url}{SERVICES}/{name}"
        if name not in self.acknowledged:
            spec = {"spec": {"ports": [{"port": 80}]}}
            request = session.post(url + SERVICES, json={**labels, **spec})
        elif self._chance.random() < 0.3:
            value = ""
            request = session.delete(path)
        else:
            request = session.patch(path, data=json.dumps(labels), headers={"Content-Type": MERGE})
        self.unsure = {name: value or None}
        async with request as response:
            answer = await response.json()
            assert response.status in (200, 201), answer
        self.unsure = {}
        self.versions.append(int(answer["metadata"]["resourceVersion"]))
        if value:
            self.acknowledged[name] = value
        else:
            del self.acknowledged[name]

    def check(self, found: dict[str, str]) -> None:
        """Hold what the server has after the kill against what it said before."""
        mine = {name: value for name, value in found.items() if name.startswith(f"w{self._number}-")}
        possible = [self.acknowledged]
        for name, value in self.unsure.items():
            changed = {key: each for key, each in self.acknowledged.items() if key != name}
            possible.append(changed if value is None else {**changed, name: value})
        assert mine in possible
        self.acknowledged, self.unsure = mine, {}


class Watcher:
    """Keeps a copy of all Services; goes on from its version after each kill, and lists again when told 410."""

    def __init__(self) -> None:
        self.copy: dict[str, Any] = {}
        self.version = 0
        self.resumed = self.expired = 0

    async def run(self, session: aiohttp.ClientSession, url: str, until: int | None = None) -> None:
        """Follow until the server is gone, or until a version has been seen."""
        try:
            while until is None or self.version < until:
                if not self.version:
                    await self._list(session, url)
                    continue
                query = f"watch=1&resourceVersion={self.version}"
                async with session.get(f"{url}/api/v1/services?{query}") as response:
                    async for line in response.content:
                        self._take(json.loads(line))
                        if not self.version or (until is not None and self.version >= until):
                            break
        except (aiohttp.ClientError, json.JSONDecodeError):  # a line may be cut by the kill
            return

    async def _list(self, session: aiohttp.ClientSession, url: str) -> None:
        async with session.get(f"{url}/api/v1/services") as response:
            listed = await response.json()
        self.copy = {key_of(each): each["metadata"] for each in listed["items"]}
        self.version = int(listed["metadata"]["resourceVersion"])

    def _take(self, event: dict[str, Any]) -> None:
        kind, shown = event["type"], event["object"]
        if kind == "ERROR":
            assert shown["code"] == 410
            self.version, self.expired = 0, self.expired + 1
            return
        self.resumed += 1
        key, version = key_of(shown), int(shown["metadata"]["resourceVersion"])
        assert version > self.version
        self.version = version
        if kind == "DELETED":
            del self.copy[key]
        else:
            assert (key in self.copy) == (kind == "MODIFIED")
            self.copy[key] = shown["metadata"]


async def one_round(
    directory: Path, writers: list[Writer], watchers: list[Watcher], chance: random.Random, *options: str
) -> None:
    with server(directory, *options) as (process, url):
        timeout = aiohttp.ClientTimeout(total=30)
        async with aiohttp.ClientSession(timeout=timeout, read_bufsize=2**22) as session:
            listed = await found(session, url)
            for writer in writers:
                writer.check({name: value for name, (value, _metadata) in listed[1].items()})
            async with asyncio.TaskGroup() as group:
                for number, writer in enumerate(writers):
                    group.create_task(writer.run(session, url), name=f"writer {number}")
                for number, watcher in enumerate(watchers):
                    group.create_task(watcher.run(session, url), name=f"watcher {number}")
                await asyncio.sleep(chance.uniform(0.2, 0.6))
                process.kill()


async def found(session: aiohttp.ClientSession, url: str) -> tuple[int, dict[str, tuple[str, Any]]]:
    async with session.get(f"{url}{SERVICES}") as response:
        listed = await response.json()
    items = [each["metadata"] for each in listed["items"]]
    return int(listed["metadata"]["resourceVersion"]), {
        each["name"]: (each["labels"]["value"], each) for each in items
    }


async def story(directory: Path, *options: str) -> list[Watcher]:
    chance = random.Random(4)
    writers = [Writer(number, chance) for number in range(WRITERS)]
    watchers = [Watcher(), Watcher()]
    for _ in range(ROUNDS):
        await one_round(directory, writers, watchers, chance, *options)
    with server(directory, *options) as (_process, url):
        async with aiohttp.ClientSession(read_bufsize=2**22) as session:
            version, listed = await found(session, url)
            for writer in writers:
                writer.check({name: value for name, (value, _metadata) in listed.items()})
            touch = {"metadata": {"name": "last", "labels": {"value": "x"}}, "spec": {"ports": [{"port": 1}]}}
            async with session.post(url + SERVICES, json=touch) as response:
                last = int((await response.json())["metadata"]["resourceVersion"])
            for watcher in watchers:
                async with asyncio.timeout(20):
                    await watcher.run(session, url, last)
            _version, listed = await found(session, url)
            for watcher in watchers:
                assert watcher.copy == {f"default/{name}": each for name, (_value, each) in listed.items()}
    versions = [number for writer in writers for number in writer.versions]
    assert len(versions) > ROUNDS * WRITERS
    assert len(set(versions)) == len(versions)
    assert all(writer.versions == sorted(writer.versions) for writer in writers)
    assert max(versions) <= version < last
    return watchers


async def test_nothing_acknowledged_is_lost(tmp_path: Path) -> None:
    watchers = await story(tmp_path)
    assert all(watcher.resumed > ROUNDS for watcher in watchers)
    assert all(watcher.expired == 0 for watcher in watchers)


async def test_with_a_short_history(tmp_path: Path) -> None:
    await story(tmp_path, "history=20")
