"""API objects as JSON values, and the few operations every part of the standalone API server needs on them.

This package is a JSON border: objects stay dictionaries, because patches, unknown kinds of fields and the wire form need
them as they came. Stored objects are never changed in place; whoever wants another state works on a `clone`.
"""

from __future__ import annotations

import datetime
import functools
import uuid
from typing import Any, TypeAlias

Json: TypeAlias = dict[str, Any]
"""One JSON object of the Kubernetes API."""


def clone(value: Any) -> Any:
    """Return a deep copy of a JSON value; much cheaper than copy.deepcopy, since JSON has no cycles."""
    if isinstance(value, dict):
        return {key: clone(item) for key, item in value.items()}
    if isinstance(value, list):
        return [clone(item) for item in value]
    return value


def metadata_of(item: Json) -> Json:
    """Return the metadata of an object that has already been brought into its shape."""
    metadata: Json = item["metadata"]
    return metadata


def name_of(item: Json) -> str:
    """Return `metadata.name`, empty when there is none."""
    return str(metadata_of(item).get("name", ""))


def namespace_of(item: Json) -> str:
    """Return `metadata.namespace`, empty for objects without one."""
    return str(metadata_of(item).get("namespace", ""))


def labels_of(item: Json) -> dict[str, str]:
    """Return `metadata.labels`, empty when there are none."""
    labels: dict[str, str] = metadata_of(item).get("labels") or {}
    return labels


def object_key(namespace: str, name: str) -> str:
    """Return the key of an object within its kind; keys sort as a real server's storage does."""
    return f"{namespace}/{name}" if namespace else name


def key_of(item: Json) -> str:
    """Return the key of an object within its kind."""
    return object_key(namespace_of(item), name_of(item))


def new_uid() -> str:
    """Return a random UUID (RFC 9562, version 4) as a text."""
    return str(uuid.uuid4())


def timestamp(seconds: float) -> str:
    """Return Unix time as the API writes it: UTC, whole seconds (RFC 3339)."""
    return _second(int(seconds))


@functools.lru_cache(maxsize=64)
def _second(seconds: int) -> str:
    return datetime.datetime.fromtimestamp(seconds, datetime.UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def parse_timestamp(text: str) -> float:
    """Return Unix time of an RFC 3339 text. Raises ValueError when it is none."""
    moment = datetime.datetime.fromisoformat(text)
    if moment.tzinfo is None:
        raise ValueError(f"time without a zone: {text}")
    return moment.timestamp()
