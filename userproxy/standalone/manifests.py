"""Manifest files: read, and kept in step with the store, so that a directory of YAML is a way to run the cluster.

Owns reading files and what came from them: what leaves the files leaves the store, and nothing else does. A file that
cannot be read changes nothing; its earlier objects stay. Objects deleted through the API stay deleted until their text
in the file changes. What came from the files is noted in the store, so all this holds across restarts too.
"""

from __future__ import annotations

import asyncio
import logging
from pathlib import Path
from typing import Any

import msgspec

from userproxy.errors import ManifestError, UsageError
from userproxy.files.inotify import DirectoryWatch
from userproxy.files.yamltext import Document, YamlFault, read_documents
from userproxy.standalone.decoding import WriteOptions
from userproxy.standalone.kinds import KINDS, NAMESPACE, Kind, by_kind
from userproxy.standalone.objects import Json, object_key
from userproxy.standalone.registry import Registry
from userproxy.standalone.statuses import Refusal

log = logging.getLogger(__name__)

SUFFIXES = (".yaml", ".yml", ".json")
LARGEST_FILE = 16 * 1024 * 1024
"""Bytes of one file."""
_DEBOUNCE = 0.1
"""Seconds of patience after a change: editors and copies write in several steps."""
_RESCAN = 30.0
"""Seconds between looks without a notice, for file systems that send none."""
_STRICT = WriteOptions(field_validation="Strict", manager="userproxy-manifests")

_NOTES = "manifests/"
"""Begins the names of our notes in the store."""

Identity = tuple[str, str]
"""Resource (plural and group) and key of an object."""


class Manifest(msgspec.Struct, frozen=True):
    """One object of a file. `path` leads from the document to the object, for items of a List."""

    kind: Kind
    namespace: str
    name: str
    body: Json
    file: Path
    document: Document
    path: str = ""

    @property
    def identity(self) -> Identity:
        """What makes it the same object in another file or version."""
        return self.kind.resource, object_key(self.namespace, self.name)

    def fault(self, field: str, why: str) -> ManifestError:
        """Return the error about a field of this object, in one line."""
        # faults of a cluster IP are told of the list, which few people write
        spec = self.body.get("spec")
        alone = isinstance(spec, dict) and "clusterIPs" not in spec
        place = field.replace("clusterIPs", "clusterIP") if alone else field
        line = self.document.line_of(f"{self.path}.{place}")
        what = f"{self.kind.kind} {object_key(self.namespace, self.name)}"
        return ManifestError(f"{self.file}:{line}: {what}: {f'{field}: ' if field else ''}{one_line(why)}")


def one_line(text: str) -> str:
    """Return text without line breaks, cut to a readable length."""
    return " ".join(text.split())[:500]


def read_file(file: Path) -> list[Manifest]:
    """Return the objects of a file; items of `List` objects stand for themselves. Raises ManifestError."""
    try:
        if file.stat().st_size > LARGEST_FILE:
            raise ManifestError(f"{file}:1: larger than {LARGEST_FILE} bytes; split it")
        text = file.read_text(encoding="utf-8")
    except OSError as fault:
        raise ManifestError(f"{file}:1: cannot be read: {fault.strerror}") from fault
    except UnicodeDecodeError as fault:
        raise ManifestError(f"{file}:1: not UTF-8 text: {fault.reason}") from fault
    try:
        found = [manifest for document in read_documents(text) for manifest in _objects(file, document)]
    except YamlFault as fault:
        raise ManifestError(f"{file}:{fault.line}: {one_line(str(fault))}") from fault
    seen: set[Identity] = set()
    for manifest in found:
        if manifest.identity in seen:
            raise manifest.fault("metadata.name", "is given twice in this file")
        seen.add(manifest.identity)
    return found


def _objects(file: Path, document: Document, value: Any = None, path: str = "") -> list[Manifest]:
    item = document.value if value is None else value

    def fault(field: str, why: str) -> ManifestError:
        line = document.line_of(f"{path}.{field}")
        return ManifestError(f"{file}:{line}: {f'{path}.'.lstrip('.') if path else ''}{field}: {why}")

    if not isinstance(item, dict):
        raise ManifestError(
            f"{file}:{document.line_of(path)}: an object is expected here, with kind and apiVersion"
        )
    for field in ("apiVersion", "kind"):
        if not isinstance(item.get(field), str) or not item[field]:
            raise fault(field, "is missing")
    if item["kind"].endswith("List") and isinstance(item.get("items"), list):
        prefix = f"{path}.items".lstrip(".")
        found = [_objects(file, document, each, f"{prefix}[{i}]") for i, each in enumerate(item["items"])]
        return [manifest for group in found for manifest in group]
    kind = by_kind(item["apiVersion"], item["kind"])
    if kind is None:
        known = ", ".join(f"{each.api_version} {each.kind}" for each in KINDS)
        raise fault("kind", f"{item['apiVersion']} {item['kind']} is not known here; known are {known}"[:500])
    metadata = item.get("metadata")
    if not isinstance(metadata, dict):
        raise fault("metadata", "is missing")
    name, namespace = metadata.get("name"), metadata.get("namespace", "default")
    if not isinstance(name, str) or not name:
        raise fault("metadata.name", "is missing, or no text (put quotes around it)")
    if not isinstance(namespace, str):
        raise fault("metadata.namespace", "must be a text")
    return [Manifest(kind, namespace if kind.namespaced else "", name, item, file, document, path)]


class _File(msgspec.Struct):
    """What is known of one file."""

    stamp: tuple[int, int, int]
    manifests: list[Manifest]
    problem: str = ""


class _Applied(msgspec.Struct, frozen=True):
    """What was stored for an object of the files; `file` is the name of the file it stood in."""

    resource: str
    key: str
    body: Json
    uid: str
    file: str

    @property
    def note(self) -> str:
        """Name of the note in the store."""
        return f"{_NOTES}{self.resource}/{self.key}"


class ManifestDirectory:
    """A directory of manifests and the objects that came from it. The only writer of those records."""

    def __init__(self, directory: Path, registry: Registry) -> None:
        """Raises UsageError when there is no such directory."""
        if not directory.is_dir():
            why = "is not a directory" if directory.exists() else "does not exist"
            raise UsageError(
                f"manifests directory {directory} {why}; create it, or give another with --manifests"
            )
        self._directory = directory
        self._registry = registry
        self._files: dict[Path, _File] = {}
        noted = registry.store.notes(_NOTES).values()
        known = [msgspec.convert(note, _Applied) for note in noted]
        self._applied: dict[Identity, _Applied] = {(each.resource, each.key): each for each in known}
        self._reported: set[str] = set()
        self._changed = asyncio.Event()

    def load(self) -> None:
        """Read and apply everything for the first time; what is wrong is logged and stops nothing else."""
        self._report(self.scan())

    def scan(self) -> list[str]:
        """Bring the store in step with the files; returns every problem, each in one line."""
        problems: list[str] = []
        if not self._read_files():
            return [f"manifests directory {self._directory} cannot be read; its objects stay as they are"]
        problems += [file.problem for file in self._files.values() if file.problem]
        wanted: dict[Identity, Manifest] = {}
        for file in self._files.values():
            for manifest in file.manifests:
                other = wanted.setdefault(manifest.identity, manifest)
                if other is not manifest:
                    problems.append(
                        str(manifest.fault("metadata.name", f"is already defined in {other.file}"))
                    )
        self._prune(wanted)
        # a namespace must be there before what lives in it
        for manifest in sorted(wanted.values(), key=lambda each: each.kind is not NAMESPACE):
            problem = self._apply(manifest)
            if problem:
                problems.append(problem)
        return problems

    def _read_files(self) -> bool:
        try:
            found = sorted(
                path for path in self._directory.iterdir() if path.suffix in SUFFIXES and path.name[0] != "."
            )
        except OSError:
            return False
        for path in [path for path in self._files if path not in found]:
            del self._files[path]
        # in the order of names, so that of two definitions always the same one counts
        self._files = {path: file for path in found if (file := self._read(path)) is not None}
        return True

    def _read(self, path: Path) -> _File | None:
        former = self._files.get(path)
        try:
            status = path.stat()
        except OSError:
            return former
        stamp = (status.st_mtime_ns, status.st_size, status.st_ino)
        if former is not None and former.stamp == stamp:
            return former
        try:
            return _File(stamp, read_file(path))
        except ManifestError as fault:
            return _File(stamp, former.manifests if former else [], str(fault))

    def _prune(self, wanted: dict[Identity, Manifest]) -> None:
        kinds = {kind.resource: kind for kind in KINDS}
        unread = {path.name for path, file in self._files.items() if file.problem}
        for identity in [identity for identity in self._applied if identity not in wanted]:
            if self._applied[identity].file in unread:
                continue  # what a bad file held is not known since the last start
            applied = self._applied.pop(identity)
            self._registry.store.note(applied.note, None)
            kind, key = kinds[identity[0]], identity[1]
            present = self._registry.store.get(kind, key)
            # another object of the same name, made through the API, is not ours to delete
            if present is None or present["metadata"]["uid"] != applied.uid:
                continue
            namespace, _slash, name = key.rpartition("/")
            try:
                self._registry.delete(kind, namespace, name)
                log.info("deleted %s %s: it is no longer in the manifests", kind.kind, key)
            except Refusal as refused:
                log.warning("%s %s left the manifests but cannot be deleted: %s", kind.kind, key, refused)

    def _apply(self, manifest: Manifest) -> str:
        """Store an object whose text is new; returns what is wrong with it."""
        applied = self._applied.get(manifest.identity)
        if applied is not None and applied.body == manifest.body:
            if applied.file != manifest.file.name:
                self._note(msgspec.structs.replace(applied, file=manifest.file.name))
            return ""
        kind, namespace, name = manifest.kind, manifest.namespace, manifest.name
        try:
            if self._registry.store.get(kind, object_key(namespace, name)) is None:
                written = self._registry.create(kind, namespace, manifest.body, _STRICT)
            else:
                written = self._registry.replace(kind, namespace, name, manifest.body, _STRICT)
        except Refusal as refused:
            causes = (refused.details or {}).get("causes", [])
            # the only other object that a write asks for is the namespace
            field = refused.field or ("metadata.namespace" if refused.code == 404 else "")
            return str(manifest.fault(field, causes[0]["message"] if causes else str(refused)))
        uid = written.item["metadata"]["uid"]
        self._note(_Applied(*manifest.identity, manifest.body, uid, manifest.file.name))
        log.debug("applied %s %s from %s", kind.kind, object_key(namespace, name), manifest.file)
        return ""

    def _note(self, applied: _Applied) -> None:
        self._applied[applied.resource, applied.key] = applied
        self._registry.store.note(applied.note, msgspec.to_builtins(applied))

    async def run(self) -> None:
        """Follow changes of the files until cancelled; what is wrong is logged once."""
        try:
            watch = DirectoryWatch(self._directory, self._changed.set)
        except OSError as fault:
            log.warning(
                "changes in %s are noticed each %d s only: %s", self._directory, _RESCAN, fault.strerror
            )
            watch = None
        try:
            while True:
                self._report(self.scan())
                await self._wait_for_change()
        finally:
            if watch is not None:
                watch.close()

    async def _wait_for_change(self) -> None:
        try:
            async with asyncio.timeout(_RESCAN):
                await self._changed.wait()
        except TimeoutError:
            return
        await asyncio.sleep(_DEBOUNCE)
        self._changed.clear()

    def _report(self, problems: list[str]) -> None:
        for problem in problems:
            if problem not in self._reported:
                log.error("%s; correct the file: it is read again, and all others are in effect", problem)
        if self._reported and not problems:
            log.info("manifests in %s: every file is in effect now", self._directory)
        self._reported = set(problems)
