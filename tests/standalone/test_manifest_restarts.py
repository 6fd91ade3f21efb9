"""Manifests with a store on disk: what came from files is still known to have come from them after a restart."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from tests.standalone.test_manifests import services, text
from userproxy.standalone.addresses import ServiceAddresses, parse_service_cidr
from userproxy.standalone.durable import open_store
from userproxy.standalone.kinds import SERVICE
from userproxy.standalone.manifests import ManifestDirectory
from userproxy.standalone.registry import Registry


@asynccontextmanager
async def started(data: Path, manifests: Path) -> AsyncIterator[tuple[Registry, ManifestDirectory]]:
    store = open_store(data)
    registry = Registry(store, ServiceAddresses(store, parse_service_cidr("10.96.0.0/16")))
    registry.create_initial_objects()
    try:
        yield registry, ManifestDirectory(manifests, registry)
    finally:
        await store.close()


@pytest.fixture
def places(tmp_path: Path) -> tuple[Path, Path]:
    (tmp_path / "m").mkdir()
    return tmp_path / "data", tmp_path / "m"


async def test_what_left_the_files_meanwhile_leaves_the_store(places: tuple[Path, Path]) -> None:
    _data, files = places
    (files / "a.yaml").write_text(text("a"))
    (files / "b.yaml").write_text(text("b"))
    async with started(*places) as (registry, directory):
        directory.load()
        registry.create(SERVICE, "default", {"metadata": {"name": "mine"}, "spec": {"ports": [{"port": 1}]}})
    (files / "a.yaml").unlink()
    async with started(*places) as (registry, directory):
        directory.load()
        assert services(registry) == {"b": 80, "mine": 1}


async def test_nothing_is_written_when_nothing_changed(places: tuple[Path, Path]) -> None:
    (places[1] / "a.yaml").write_text(text("a"))
    async with started(*places) as (registry, directory):
        directory.load()
        version = registry.store.version
    async with started(*places) as (registry, directory):
        directory.load()
        assert registry.store.version == version


async def test_changes_by_others_stay_until_the_text_changes(places: tuple[Path, Path]) -> None:
    _data, files = places
    (files / "a.yaml").write_text(text("a"))
    (files / "b.yaml").write_text(text("b"))
    async with started(*places) as (registry, directory):
        directory.load()
        registry.delete(SERVICE, "default", "a")
        registry.change(
            SERVICE, "default", "b", lambda old: {**old, "spec": {**old["spec"], "ports": [{"port": 9}]}}
        )
    async with started(*places) as (registry, directory):
        directory.load()
        assert services(registry) == {"b": 9}
        (files / "a.yaml").write_text(text("a", 81))
        (files / "b.yaml").write_text(text("b", 82))
        directory.load()
        assert services(registry) == {"a": 81, "b": 82}


async def test_a_file_that_is_bad_after_a_restart_keeps_its_objects(places: tuple[Path, Path]) -> None:
    _data, files = places
    (files / "a.yaml").write_text(text("a"))
    async with started(*places) as (registry, directory):
        directory.load()
    (files / "a.yaml").write_text("kind: [")
    async with started(*places) as (registry, directory):
        (problem,) = directory.scan()
        assert "a.yaml:2: " in problem
        assert services(registry) == {"a": 80}
        (files / "a.yaml").write_text(text("other"))
        directory.load()
        assert services(registry) == {"other": 80}


async def test_an_object_may_move_to_another_file(places: tuple[Path, Path]) -> None:
    _data, files = places
    (files / "a.yaml").write_text(text("a"))
    async with started(*places) as (registry, directory):
        directory.load()
        uid = registry.read(SERVICE, "default", "a")["metadata"]["uid"]
        (files / "a.yaml").rename(files / "b.yaml")
        directory.load()
    (files / "b.yaml").write_text("{")
    async with started(*places) as (registry, directory):
        assert len(directory.scan()) == 1
        assert registry.read(SERVICE, "default", "a")["metadata"]["uid"] == uid
