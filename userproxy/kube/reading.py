"""Reads objects of lists and watches into a store, and complains once about each one that cannot be read.

Owns the rule that one bad object harms no other: it is skipped, named in the log and counted, and what was known of it stays.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Protocol

import msgspec

from userproxy.api_objects import KubeObject
from userproxy.errors import DecodeError
from userproxy.kube.decode import Decoded, Decoding
from userproxy.kube.wire import object_name
from userproxy.model import ServiceName

MOST_REMEMBERED = 10_000
"""Objects whose warnings are remembered so as not to be repeated; objects deleted unseen would stay among them for ever."""


class ObjectSink(Protocol):
    """Where read objects go: the store, or a list still arriving."""

    def put(self, key: ServiceName, value: KubeObject | None) -> None:
        """Set the object at `key`; None means that there is none for us."""

    def keep(self, key: ServiceName) -> None:
        """Leave the object at `key` as it was."""


class ObjectReader:
    """Decodes objects of one resource; `errors` counts those that could not be."""

    def __init__(self, decoding: Decoding[Any], warn: Callable[[str], None]) -> None:
        self._decoding = decoding
        self._warn = warn
        self._warned: dict[ServiceName, tuple[str, ...]] = {}
        self.errors = 0

    def read(self, data: bytes | msgspec.Raw, sink: ObjectSink) -> str:
        """Put one object into `sink`; return its version, empty when that cannot be read."""
        try:
            decoded = self._decoding.decode(data)
        except DecodeError as error:
            self.errors += 1
            name = object_name(data)
            key = ServiceName(name.namespace, name.name)
            self._warn_once(key, (f"{error}; object skipped",))
            sink.keep(key)
            return name.version
        return self._put(decoded, sink)

    def read_event(self, line: bytes, sink: ObjectSink) -> str | None:
        """Put the object of an event that says it was added or modified into `sink`; return its version.

        None: it is another line, or what is wrong with its object has to be found out (`read`); then nothing was done.
        """
        decoded = self._decoding.decode_event(line)
        return None if decoded is None else self._put(decoded, sink)

    def _put(self, decoded: Decoded, sink: ObjectSink) -> str:
        self._warn_once(decoded.key, decoded.warnings)
        sink.put(decoded.key, decoded.value)
        return decoded.version

    def remove(self, data: bytes | msgspec.Raw, sink: ObjectSink) -> str:
        """Take a deleted object, of which only the name must be readable, out of `sink`; return its version."""
        name = object_name(data)
        key = ServiceName(name.namespace, name.name)
        self._warned.pop(key, None)
        sink.put(key, None)
        return name.version

    def _warn_once(self, key: ServiceName, warnings: tuple[str, ...]) -> None:
        """Log what was not already said of this object in its form before."""
        before = self._warned.get(key, ())
        for text in warnings:
            if text not in before:
                self._warn(text)
        if warnings:
            if len(self._warned) >= MOST_REMEMBERED:
                self._warned.clear()
            self._warned[key] = warnings
        elif before:
            del self._warned[key]
