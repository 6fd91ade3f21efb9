"""The text of a configuration file as settings, and what in it changes nothing.

Owns reading: the kinds of documents, unknown fields (an error that names the nearest known one, as kube-proxy's strict
decoding), fields that depend on each other. Opens no file and merges nothing (`source` does).
"""

from __future__ import annotations

import difflib
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from typing import Any

from userproxy.configfile import kube_proxy_fields, own_fields
from userproxy.configfile.kube_proxy_fields import FIELDS, Ignored, Unused
from userproxy.errors import UsageError
from userproxy.files.yamltext import Document, YamlFault, read_documents

_EMPTY: tuple[Any, ...] = (None, "", 0, "0", "0s", [], {})
"""Values that ask for nothing; files made by kubeadm are full of them."""


@dataclass
class FileSettings:
    """What one file asks for."""

    values: dict[str, Any] = field(default_factory=dict)
    """settings by their name in Config"""
    ignored: list[str] = field(default_factory=list)
    """fields that have a value and change nothing here"""
    notes: list[str] = field(default_factory=list)
    """values that change nothing although their field is used, each with the reason"""


def read_settings(text: str, file: str) -> FileSettings:
    """Return what the text of `file` asks for. Raises UsageError with file and line.

    A setting in UserproxyConfiguration wins over a field of KubeProxyConfiguration that means the same.
    """
    try:
        documents = list(read_documents(text))
    except YamlFault as fault:
        raise UsageError(f"{file}:{fault.line}: {fault}; write it as YAML or JSON") from fault
    by_kind: dict[str, Document] = {}
    for document in documents:
        kind = _kind(document, file)
        if kind in by_kind:
            raise UsageError(f"{file}:{document.node.line}: a second {kind}; write one document of each kind")
        by_kind[kind] = document
    if not documents:
        raise UsageError(f"{file}: holds no document; write at least {_header(own_fields.KIND)}")
    found = FileSettings()
    if kube_proxy_fields.KIND in by_kind:
        _kube_proxy(by_kind[kube_proxy_fields.KIND], file, found)
    if own_fields.KIND in by_kind:
        _own(by_kind[own_fields.KIND], file, found)
    return found


_API_VERSIONS = {
    kube_proxy_fields.KIND: kube_proxy_fields.API_VERSION,
    own_fields.KIND: own_fields.API_VERSION,
}


def _header(kind: str) -> str:
    return f"`apiVersion: {_API_VERSIONS[kind]}` and `kind: {kind}`"


def _kind(document: Document, file: str) -> str:
    where = f"{file}:{document.node.line}"
    if not isinstance(document.value, dict):
        raise UsageError(f"{where}: is not a mapping of fields; begin with {_header(own_fields.KIND)}")
    kind = document.value.get("kind")
    if kind not in _API_VERSIONS:
        hint = "; give the text of its key config.conf as a file" if kind == "ConfigMap" else ""
        raise UsageError(f"{where}: kind {kind!r} is not known; known: {', '.join(_API_VERSIONS)}{hint}")
    version = document.value.get("apiVersion")
    if version != _API_VERSIONS[kind]:
        raise UsageError(f"{where}: apiVersion {version!r} of {kind} is not known; write {_header(kind)}")
    return str(kind)


def _kube_proxy(document: Document, file: str, found: FileSettings) -> None:
    given = dict(_leaves(document, document.value, "", file))
    for path, value in given.items():
        use = FIELDS[path]
        if isinstance(use, Ignored):
            if value not in _EMPTY:
                found.ignored.append(path)
            continue
        if value is None:
            continue
        result = _checked(use.read, value, document, path, file)
        if isinstance(result, Unused):
            found.notes.append(f"{path} {value!r} is ignored: {result}")
        elif result is not None:
            found.values[use.setting] = result
    for note in unmet(given, found.values):
        found.notes.append(note)


def unmet(given: dict[str, Any], values: dict[str, Any]) -> Iterator[str]:
    """Take settings out of `values` whose field counts only beside another one in `given`; yield why."""
    if "cluster_cidr" in values and given.get("detectLocalMode") not in (None, "", "ClusterCIDR"):
        del values["cluster_cidr"]
        yield "clusterCIDR is ignored: it counts in detectLocalMode ClusterCIDR only"
    if "balance" in values and given.get("mode") != "ipvs":
        del values["balance"]
        yield "ipvs.scheduler is ignored: it counts in mode ipvs only"


def _leaves(document: Document, mapping: dict[str, Any], above: str, file: str) -> Iterator[tuple[str, Any]]:
    """Yield the path and value of each field. Raises UsageError for one that kube-proxy does not have."""
    for name, value in mapping.items():
        path = f"{above}.{name}" if above else name
        if not above and name in ("kind", "apiVersion"):
            continue
        if path in FIELDS:
            yield path, value
        elif not any(known.startswith(f"{path}.") for known in FIELDS):
            known = _children(above) if above else (*_children(""), *FIELDS)
            raise UsageError(_unknown(document, path, name, known, kube_proxy_fields.KIND, file))
        elif isinstance(value, dict):
            yield from _leaves(document, value, path, file)
        elif value is not None:
            raise UsageError(
                f"{file}:{document.line_of(path)}: field {path} holds other fields, not {value!r}"
            )


def _children(path: str) -> tuple[str, ...]:
    """Return the names of the fields directly within `path`."""
    prefix = f"{path}." if path else ""
    return tuple(
        {known.removeprefix(prefix).partition(".")[0]: None for known in FIELDS if known.startswith(prefix)}
    )


def _own(document: Document, file: str, found: FileSettings) -> None:
    for name, value in document.value.items():
        if name in ("kind", "apiVersion") or (value is None and name in own_fields.SETTINGS):
            continue
        setting = own_fields.SETTINGS.get(name)
        if setting is None:
            raise UsageError(_unknown(document, name, name, own_fields.SETTINGS, own_fields.KIND, file))

        def read(value: Any, setting: Any = setting) -> Any:
            return own_fields.read_value(setting, value)

        found.values[setting.name] = _checked(read, value, document, name, file)


def _checked(read: Callable[[Any], Any], value: Any, document: Document, path: str, file: str) -> Any:
    try:
        return read(value)
    except ValueError as error:
        raise UsageError(
            f"{file}:{document.line_of(path)}: field {path}: {value!r} cannot be used; write {error}"
        ) from None


def _unknown(document: Document, path: str, name: str, known: Iterable[str], kind: str, file: str) -> str:
    text = f"{file}:{document.line_of(path)}: field {path} of {kind} is not known"
    by_lower = {one.rpartition(".")[2].lower(): one for one in reversed(tuple(known))}
    near = difflib.get_close_matches(name.lower(), by_lower, n=1, cutoff=0.6)
    return f"{text}; did you mean {by_lower[near[0]]}?" if near else f"{text}; take it out"
