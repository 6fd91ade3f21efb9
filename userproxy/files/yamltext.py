"""YAML text as JSON values, with the line of every field.

Owns the reading: only what JSON can say is taken, texts that look like dates stay texts, duplicate keys and aliases that
would blow the document up are refused. Values are built from parser events under a bound of depth, since libyaml's
own tree building overflows the C stack on deep input and would take the process down.
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterator
from typing import Any

import msgspec
import yaml

MOST_VALUES = 200_000
"""Values of one text with all aliases written out; a few short lines of nested aliases can mean billions."""
DEEPEST = 100
"""Levels of nesting."""

_TAG = "tag:yaml.org,2002:"
_NULL, _BOOL, _INT, _FLOAT, _MERGE = (_TAG + name for name in ("null", "bool", "int", "float", "merge"))
_TEXTS = frozenset(_TAG + name for name in ("str", "timestamp", "value"))
_TRUE = frozenset(("yes", "true", "on", "y"))
_LETTERS = frozenset("yYnN")
_PATH_PART = re.compile(r"[^.\[\]]+")

try:
    from yaml import CSafeLoader as _Loader
except ImportError:  # PyYAML built without libyaml: the same results, eight times slower
    from yaml import SafeLoader as _Loader  # type: ignore[assignment]


class YamlFault(Exception):
    """A text that cannot be read; `line` counts from 1."""

    def __init__(self, line: int, text: str) -> None:
        super().__init__(text)
        self.line = line


class _Node(msgspec.Struct):
    """A value and where it is said to be: at its key where it has one. `size` counts the values in it."""

    value: Any
    line: int
    size: int = 1
    fields: dict[str, _Node] = {}
    items: list[_Node] = []


class Document(msgspec.Struct, frozen=True):
    """One YAML document: its JSON value, and where its fields are."""

    value: Any
    node: _Node

    def line_of(self, path: str) -> int:
        """Return the line of a field such as `spec.ports[0].port`, or of the nearest one around it."""
        node = self.node
        for part in _PATH_PART.findall(path):
            if part in node.fields:
                node = node.fields[part]
            elif part.isdecimal() and int(part) < len(node.items):
                node = node.items[int(part)]
            else:
                break
        return node.line


def read_documents(text: str) -> Iterator[Document]:
    """Yield the documents of a text, empty ones left out. Raises YamlFault."""
    try:
        loader = _Loader(text)
        builder = _Builder(loader)
        while not loader.check_event(yaml.StreamEndEvent):
            if loader.check_event(yaml.DocumentStartEvent):
                node = builder.document()
                if node.value is not None:
                    yield Document(node.value, node)
            else:
                loader.get_event()
    except yaml.MarkedYAMLError as fault:
        mark = fault.problem_mark or fault.context_mark
        raise YamlFault(mark.line + 1 if mark else 1, str(fault.problem or fault.context)) from fault
    except yaml.YAMLError as fault:
        raise YamlFault(1, str(fault).splitlines()[0]) from fault


class _Builder:
    """Builds values from the events of one text."""

    def __init__(self, loader: Any) -> None:
        self._loader = loader
        self._anchors: dict[str, _Node | None] = {}

    def document(self) -> _Node:
        self._loader.get_event()
        self._anchors = {}
        node = self._node(self._loader.get_event(), 0)
        self._loader.get_event()
        return node

    def _node(self, event: Any, depth: int) -> _Node:
        line = event.start_mark.line + 1
        if depth > DEEPEST:
            raise YamlFault(line, f"nested deeper than {DEEPEST} levels")
        if isinstance(event, yaml.AliasEvent):
            known = self._anchors.get(str(event.anchor))
            if known is None:
                raise YamlFault(line, f"alias *{event.anchor} refers to nothing before it")
            return known
        if event.anchor:
            self._anchors[event.anchor] = None  # until it is complete, so that it cannot hold itself
        if isinstance(event, yaml.MappingStartEvent):
            node = self._mapping(line, depth)
        elif isinstance(event, yaml.SequenceStartEvent):
            node = self._sequence(line, depth)
        else:
            node = _Node(self._scalar(event, line), line)
        if node.size > MOST_VALUES:
            raise YamlFault(line, f"more than {MOST_VALUES} values")
        if event.anchor:
            self._anchors[event.anchor] = node
        return node

    def _sequence(self, line: int, depth: int) -> _Node:
        items: list[_Node] = []
        size = 1
        while not self._loader.check_event(yaml.SequenceEndEvent):
            items.append(self._node(self._loader.get_event(), depth + 1))
            size += items[-1].size
        self._loader.get_event()
        if size > MOST_VALUES:
            raise YamlFault(line, f"more than {MOST_VALUES} values")
        return _Node([item.value for item in items], line, size, items=items)

    def _mapping(self, line: int, depth: int) -> _Node:
        fields: dict[str, _Node] = {}
        merged: dict[str, _Node] = {}
        size = 1
        while not self._loader.check_event(yaml.MappingEndEvent):
            key = self._loader.get_event()
            key_line = key.start_mark.line + 1
            if not isinstance(key, yaml.ScalarEvent):
                raise YamlFault(key_line, "a key must be a plain text")
            value = self._node(self._loader.get_event(), depth + 1)
            size += value.size
            if self._tag(key) == _MERGE:
                merged = {**_merge_sources(value, key_line), **merged}
                continue
            if key.value in fields:
                raise YamlFault(key_line, f"key {key.value!r} is given twice")
            fields[key.value] = msgspec.structs.replace(value, line=key_line)
        self._loader.get_event()
        fields = {**merged, **fields}
        return _Node({name: field.value for name, field in fields.items()}, line, size, fields=fields)

    def _tag(self, event: Any) -> str:
        if event.tag is not None and event.tag != "!":
            return str(event.tag)
        return str(self._loader.resolve(yaml.ScalarNode, event.value, event.implicit))

    def _scalar(self, event: Any, line: int) -> Any:
        tag, text = self._tag(event), event.value
        if tag in _TEXTS:
            # Go's YAML 1.1 takes these for booleans, PyYAML for texts
            return text.lower() == "y" if text in _LETTERS and event.implicit[0] else text
        if tag == _NULL:
            return None
        if tag == _BOOL:
            return text.lower() in _TRUE
        node = yaml.ScalarNode(tag, text)
        try:
            if tag == _INT:
                return self._loader.construct_yaml_int(node)
            if tag == _FLOAT:
                number = self._loader.construct_yaml_float(node)
                if math.isfinite(number):
                    return number
        except (ValueError, OverflowError) as fault:
            raise YamlFault(line, f"{text[:40]!r} is no number") from fault
        raise YamlFault(line, f"a value of type {tag.rpartition(':')[2]} cannot be used here: {text[:40]!r}")


def _merge_sources(node: _Node, line: int) -> dict[str, _Node]:
    result: dict[str, _Node] = {}
    for source in node.items or [node]:
        if not isinstance(source.value, dict):
            raise YamlFault(line, "<< needs a mapping")
        result = {**source.fields, **result}
    return result
