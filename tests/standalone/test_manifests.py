"""Manifest files: applied, followed, pruned; what is wrong with one touches nothing else."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import re
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any

import pytest

from userproxy.errors import ManifestError, UsageError
from userproxy.standalone.addresses import ServiceAddresses, parse_service_cidr
from userproxy.standalone.kinds import NAMESPACE, SERVICE
from userproxy.standalone.manifests import ManifestDirectory, read_file
from userproxy.standalone.registry import Registry
from userproxy.standalone.store import MemoryStore

SERVICE_TEXT = """\
apiVersion: v1
kind: Service
metadata:
  name: {name}
spec:
  ports:
  - port: {port}
"""


def text(name: str, port: object = 80) -> str:
    return SERVICE_TEXT.format(name=name, port=port)


@pytest.fixture
def registry() -> Registry:
    store = MemoryStore()
    registry = Registry(store, ServiceAddresses(store, parse_service_cidr("10.96.0.0/16")))
    registry.create_initial_objects()
    return registry


def services(registry: Registry) -> dict[str, int]:
    return {
        item["metadata"]["name"]: item["spec"]["ports"][0]["port"]
        for _key, item in registry.store.items(SERVICE)
    }


@contextlib.asynccontextmanager
async def following(directory: ManifestDirectory) -> AsyncIterator[None]:
    async with asyncio.TaskGroup() as group:
        task = group.create_task(directory.run(), name="manifests")
        await asyncio.sleep(0.02)
        yield
        task.cancel()


async def until(holds: Callable[[], bool]) -> None:
    async with asyncio.timeout(15):
        while not holds():
            await asyncio.sleep(0.01)


def test_a_missing_directory_is_a_usage_error(tmp_path: Path, registry: Registry) -> None:
    with pytest.raises(UsageError, match="does not exist"):
        ManifestDirectory(tmp_path / "none", registry)
    (tmp_path / "file").write_text("")
    with pytest.raises(UsageError, match="is not a directory"):
        ManifestDirectory(tmp_path / "file", registry)


def test_several_documents_and_lists_are_applied(tmp_path: Path, registry: Registry) -> None:
    (tmp_path / "a.yaml").write_text(f"{text('a')}---\n# nothing\n---\n{text('b', 81)}")
    (tmp_path / "z.json").write_text(
        '{"apiVersion": "v1", "kind": "List", "items": [{"apiVersion": "v1", "kind": "Service",'
        ' "metadata": {"name": "c", "namespace": "n"}, "spec": {"ports": [{"port": 82}]}},'
        ' {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": "n"}}]}'
    )
    (tmp_path / ".hidden.yaml").write_text(text("hidden"))
    (tmp_path / "notes.txt").write_text(text("notes"))
    ManifestDirectory(tmp_path, registry).load()
    assert services(registry) == {"a": 80, "b": 81, "c": 82}
    assert registry.store.get(NAMESPACE, "n") is not None


async def test_changes_are_followed_and_what_leaves_is_pruned(tmp_path: Path, registry: Registry) -> None:
    registry.create(SERVICE, "default", {"metadata": {"name": "by-hand"}, "spec": {"ports": [{"port": 1}]}})
    (tmp_path / "a.yaml").write_text(text("a"))
    directory = ManifestDirectory(tmp_path, registry)
    directory.load()
    async with following(directory):
        (tmp_path / "b.yaml").write_text(text("b"))
        await until(lambda: "b" in services(registry))
        (tmp_path / ".new").write_text(text("a", 8080))
        (tmp_path / ".new").rename(tmp_path / "a.yaml")
        await until(lambda: services(registry)["a"] == 8080)
        (tmp_path / "a.yaml").write_text(text("c"))
        await until(lambda: services(registry) == {"b": 80, "by-hand": 1, "c": 80})
        (tmp_path / "b.yaml").unlink()
        await until(lambda: services(registry) == {"by-hand": 1, "c": 80})


async def test_a_mounted_config_map_is_followed(tmp_path: Path, registry: Registry) -> None:
    for version, port in (("1", 80), ("2", 81)):
        (tmp_path / f"..{version}").mkdir()
        (tmp_path / f"..{version}" / "a.yaml").write_text(text("a", port))
    (tmp_path / "..data").symlink_to("..1")
    (tmp_path / "a.yaml").symlink_to("..data/a.yaml")
    directory = ManifestDirectory(tmp_path, registry)
    directory.load()
    assert services(registry) == {"a": 80}
    async with following(directory):
        (tmp_path / "..tmp").symlink_to("..2")
        (tmp_path / "..tmp").rename(tmp_path / "..data")
        await until(lambda: services(registry) == {"a": 81})


async def test_a_bad_file_touches_nothing_and_is_told_once(
    tmp_path: Path, registry: Registry, caplog: pytest.LogCaptureFixture
) -> None:
    (tmp_path / "a.yaml").write_text(text("a"))
    (tmp_path / "b.yaml").write_text(text("b"))
    directory = ManifestDirectory(tmp_path, registry)
    directory.load()
    with caplog.at_level(logging.INFO, "userproxy.standalone.manifests"):
        async with following(directory):
            (tmp_path / "a.yaml").write_text("apiVersion: v1\nkind: [\n")
            await until(lambda: bool(caplog.records))
            (tmp_path / "b.yaml").write_text(text("b2"))
            await until(lambda: services(registry) == {"a": 80, "b2": 80})
            (tmp_path / "a.yaml").write_text(text("a", 99))
            await until(lambda: services(registry) == {"a": 99, "b2": 80})
            await until(lambda: len(caplog.records) == 3)
    assert caplog.messages[0].startswith(f"{tmp_path}/a.yaml:")
    assert caplog.messages[1:] == [
        "deleted Service default/b: it is no longer in the manifests",
        f"manifests in {tmp_path}: every file is in effect now",
    ]


def test_objects_taken_over_by_others_are_left_alone(tmp_path: Path, registry: Registry) -> None:
    (tmp_path / "a.yaml").write_text(text("a"))
    directory = ManifestDirectory(tmp_path, registry)
    directory.load()
    registry.delete(SERVICE, "default", "a")
    assert directory.scan() == []
    assert services(registry) == {}  # a deletion through the API stands
    registry.create(SERVICE, "default", {"metadata": {"name": "a"}, "spec": {"ports": [{"port": 7}]}})
    (tmp_path / "a.yaml").unlink()
    directory.scan()
    assert services(registry) == {"a": 7}


def test_what_others_changed_stays_until_the_text_changes(tmp_path: Path, registry: Registry) -> None:
    (tmp_path / "a.yaml").write_text(text("a"))
    directory = ManifestDirectory(tmp_path, registry)
    directory.load()
    before = registry.read(SERVICE, "default", "a")
    registry.change(
        SERVICE, "default", "a", lambda old: {**old, "metadata": {**old["metadata"], "labels": {"x": "y"}}}
    )
    (tmp_path / "b.yaml").write_text(text("b"))
    assert directory.scan() == []
    assert registry.read(SERVICE, "default", "a")["metadata"]["labels"] == {"x": "y"}
    (tmp_path / "a.yaml").write_text(text("a", 81))
    assert directory.scan() == []
    after = registry.read(SERVICE, "default", "a")
    assert after["spec"]["clusterIP"] == before["spec"]["clusterIP"]


def test_a_directory_that_vanishes_changes_nothing(tmp_path: Path, registry: Registry) -> None:
    (tmp_path / "m").mkdir()
    (tmp_path / "m" / "a.yaml").write_text(text("a"))
    directory = ManifestDirectory(tmp_path / "m", registry)
    directory.load()
    (tmp_path / "m" / "a.yaml").unlink()
    (tmp_path / "m").rmdir()
    assert "cannot be read" in directory.scan()[0]
    assert services(registry) == {"a": 80}


@pytest.mark.parametrize(
    ("content", "line", "words"),
    [
        (text("a", 70000), 7, "spec.ports[0].port: Invalid value: 70000"),
        (text("a", "eighty"), 7, "cannot unmarshal string"),
        (text("Bad_Name"), 4, "metadata.name: Invalid value"),
        (text("a") + "  clusterIP: 10.1.2.3\n", 8, "spec.clusterIPs: Invalid value"),
        (text("a") + "  nosuch: 1\n", 8, 'unknown field "spec.nosuch"'),
        (text("a", '"80"'), 7, "spec.ports[0].port: Service in version"),
        (text("a").replace("port: 80", "targetPort: 80"), 7, "spec.ports[0].port: Invalid value: 0"),
        (text("a") + "  - port: 81\n", 7, "spec.ports[0].name: Required value"),
        (text("a") + "    protocol: HTTP\n", 8, "spec.ports[0].protocol: Unsupported value"),
        (text("a").replace("ports:", "port:"), 6, 'unknown field "spec.port"'),
        (text("a").replace("- port", "  port"), 6, "cannot unmarshal object"),
        (text("a") + "  type: Clusterip\n", 8, "spec.type: Unsupported value"),
        (text("a") + "  selector: web\n", 8, "spec.selector: "),
        (text("a") + "  selector:\n    app: 1\n", 9, "spec.selector.app: "),
        (text("a") + "\t  targetPort: 1\n", 8, "tab character"),
        (text("a") + "  ports:\n  - port: 81\n", 8, "'ports' is given twice"),
        (text("a\n  namespace: nowhere"), 5, 'metadata.namespace: namespaces "nowhere" not found'),
        (text("a\n  labels:\n    a b: c"), 5, "metadata.labels: Invalid value"),
        ("apiVersion: v1\nkind: service\nmetadata: {name: a}\n", 2, "kind: v1 service is not known here"),
        ("{{ template }}\n", 1, "a key must be a plain text"),
        (
            "apiVersion: v1\nkind: List\nitems:\n- kind: Service\n  metadata:\n    name: x\n",
            4,
            "items[0].apiVersion: is missing",
        ),
        ("kind: Service\nmetadata:\n  name: a\n", 1, "apiVersion: is missing"),
        ("apiVersion: v1\nkind: ConfigMap\nmetadata:\n  name: a\n", 2, "is not known here"),
        ("apiVersion: v1\nkind: Service\nmetadata: {}\n", 3, "metadata.name: is missing"),
        ("apiVersion: v1\nkind: Service\nmetadata:\n  name: 5\n", 4, "metadata.name"),
        ("a: 1\n---\n- b\n", 1, "apiVersion: is missing"),
        ("just text\n", 1, "an object is expected"),
        ("a: 1\na: 2\n", 2, "given twice"),
        ("a: *b\n", 1, "refers to nothing"),
        ("a: &a [*a]\n", 1, "refers to nothing"),
        ("a: .inf\n", 1, "cannot be used"),
        ("a: !!python/object:os.system x\n", 1, "cannot be used"),
        ("a: {\n", 2, "did not find"),
        ("a:\n\t- b\n", 2, "cannot start any token"),
        ("[" * 200, 1, "nested deeper"),
        (f"{text('a')}---\n{text('a')}", 12, "given twice"),
    ],
)
def test_errors_name_file_line_and_field(
    tmp_path: Path,
    registry: Registry,
    caplog: pytest.LogCaptureFixture,
    content: str,
    line: int,
    words: str,
) -> None:
    (tmp_path / "bad.yaml").write_text(content)
    (tmp_path / "good.yaml").write_text(text("good"))
    ManifestDirectory(tmp_path, registry).load()
    (message,) = caplog.messages
    assert message.startswith(f"{tmp_path}/bad.yaml:{line}: "), message
    assert words in message
    assert "\n" not in message
    assert "good" in services(registry)


def test_two_files_with_the_same_object_are_told(tmp_path: Path, registry: Registry) -> None:
    for name in ("a.yaml", "b.yaml"):
        (tmp_path / name).write_text(text("same", 80 if name == "a.yaml" else 81))
    (problem,) = ManifestDirectory(tmp_path, registry).scan()
    assert re.search(r"b\.yaml:4: .*already defined in .*a\.yaml", problem)
    assert services(registry) == {"same": 80}


def test_binary_and_unreadable_files(tmp_path: Path) -> None:
    (tmp_path / "a.yaml").write_bytes(b"\xff\xfe\x00")
    with pytest.raises(ManifestError, match="UTF-8"):
        read_file(tmp_path / "a.yaml")
    with pytest.raises(ManifestError, match="cannot be read"):
        read_file(tmp_path / "none.yaml")


def test_texts_that_look_like_something_else_stay_texts(tmp_path: Path) -> None:
    (tmp_path / "a.yaml").write_text(
        "apiVersion: v1\nkind: Service\nmetadata: {name: a, labels: {date: 2026-01-02, one: '1', merged: m}}\n"
    )
    (manifest,) = read_file(tmp_path / "a.yaml")
    labels: Any = manifest.body["metadata"]["labels"]
    assert labels == {"date": "2026-01-02", "one": "1", "merged": "m"}
