"""Sets of fields of an object, as server-side apply names them: taken from an object, written as FieldsV1, shown to people.

Owns the paths. Who owns which set is in `ownership`, what follows for a write in `applying`. Source: the
structured-merge-diff library, `fieldpath` and `typed`.
"""

from __future__ import annotations

import functools
import json
from collections.abc import Iterable
from typing import Any, TypeAlias

from userproxy.standalone.objects import Json
from userproxy.standalone.schema import ANY, Shape, Type

Path: TypeAlias = tuple[str, ...]
"""Steps from the object: `f:name` into a field or map key, `k:{...}` to a list item by its keys, `v:...` to a set item.
A last step `.` is the map or list item itself."""

SELF = "."
_DEFAULT_KEYS = {"protocol": "TCP"}
_METADATA_FIELDS = ("annotations", "finalizers", "generateName", "labels", "ownerReferences")
"""Metadata that someone owns; the rest belongs to the server."""


def leaves(item: Json, shape: Shape, *, status: bool) -> dict[Path, Any]:
    """Return every owned field of an object with its value; `status`: the status alone, or everything but it."""
    found: dict[Path, Any] = {}
    for name, value in item.items():
        if name in ("kind", "apiVersion") or (name == "status") != status:
            continue
        if name == "metadata":
            value = {key: part for key, part in value.items() if key in _METADATA_FIELDS}
            if not value:
                continue
        _collect(value, shape.fields.get(name, ANY), (f"f:{name}",), found)
    return found


def _collect(value: Any, shape: Shape, path: Path, found: dict[Path, Any]) -> None:
    if shape.type is Type.STRUCT and isinstance(value, dict) and value and not shape.atomic:
        if not shape.always:  # may be absent, so that being there is something to own
            found[(*path, SELF)] = True
        for name, item in value.items():
            _collect(item, shape.fields.get(name, ANY), (*path, f"f:{name}"), found)
    elif (
        shape.type is Type.MAP
        and shape.item is not None
        and isinstance(value, dict)
        and value
        and not shape.atomic
    ):
        found[(*path, SELF)] = True
        for name, item in value.items():
            _collect(item, shape.item, (*path, f"f:{name}"), found)
    elif shape.list_keys and shape.item is not None and isinstance(value, list) and value:
        found[(*path, SELF)] = True
        for item in value:
            place = (*path, item_step(item, shape))
            if shape.item.atomic:
                found[place] = item
                continue
            found[(*place, SELF)] = True
            for name, part in item.items():
                _collect(part, shape.item.fields.get(name, ANY), (*place, f"f:{name}"), found)
    elif shape.is_set and isinstance(value, list) and value:
        found[(*path, SELF)] = True
        found.update(((*path, f"v:{_compact(item)}"), item) for item in value)
    else:
        found[path] = value


def item_step(item: Json, shape: Shape) -> str:
    """Return the step to an item of a list with keys; a key that is not given counts as its default."""
    keys = shape.list_keys
    values = tuple([item.get(key, _DEFAULT_KEYS.get(key)) for key in keys])
    try:
        return _item_step(keys, values)
    except TypeError:  # a key that is no scalar
        return _item_step.__wrapped__(keys, values)


@functools.lru_cache(maxsize=4096, typed=True)
def _item_step(keys: tuple[str, ...], values: tuple[Any, ...]) -> str:
    return f"k:{_compact(dict(sorted(zip(keys, values, strict=True))))}"


def step_keys(step: str) -> Json:
    """Return the keys of a step to a list item."""
    keys: Json = json.loads(step.removeprefix("k:"))
    return keys


def _compact(value: Any) -> str:
    return json.dumps(value, separators=(",", ":"), ensure_ascii=False)


def without_containers(paths: Iterable[Path]) -> set[Path]:
    """Return paths less maps and lists themselves: who applies owns what is in them, not them."""
    return {path for path in paths if path[-1] != SELF or path[-2].startswith("k:")}


_OWNER_STEP = 'k:{"uid":'
_ANY_OWNER = 'k:{"uid":"..."}'


def to_fields_v1(paths: frozenset[Path]) -> Json:
    """Return FieldsV1 of paths, sorted as a real server sorts them; it is shared and must not be changed.

    Objects of one kind that one client makes mostly have the same fields, but for the uid of their owner.
    """
    owners = [path for path in paths if len(path) > 2 and path[2].startswith(_OWNER_STEP)]
    if len(owners) != 1:
        return _fields_v1(paths)
    (owned,) = owners
    alike = _fields_v1(paths - {owned} | {(*owned[:2], _ANY_OWNER, *owned[3:])})
    outer, inner = alike[owned[0]], alike[owned[0]][owned[1]]
    own = {(owned[2] if step == _ANY_OWNER else step): fields for step, fields in inner.items()}
    return {**alike, owned[0]: {**outer, owned[1]: own}}


@functools.lru_cache(maxsize=1024)
def _fields_v1(paths: frozenset[Path]) -> Json:
    root: Json = {}
    for path in paths:
        node = root
        for step in path:
            node = node.setdefault(step, {})
    made = _sorted(root)
    if len(_MADE) >= _MOST_MADE:
        _MADE.clear()
    _MADE[id(made)] = (made, paths)
    return made


def _sorted(node: Json) -> Json:
    return {step: _sorted(node[step]) for step in sorted(node, key=_step_order)}


def _step_order(step: str) -> tuple[Any, ...]:
    if step.startswith("k:"):
        values = step_keys(step).values()
        return (1, *((isinstance(value, str), value) for value in values))
    return (0, step)


_MOST_MADE = 2048
_MADE: dict[int, tuple[Json, frozenset[Path]]] = {}
"""FieldsV1 that was made here, by its id: most of what is read comes back as it was made."""


def from_fields_v1(fields: Any) -> frozenset[Path]:
    """Return the paths of FieldsV1; what is no such document gives nothing."""
    made = _MADE.get(id(fields))
    if made is not None and made[0] is fields:
        return made[1]
    found: set[Path] = set()
    _walk(fields, (), found)
    return frozenset(found)


def _walk(node: Any, path: Path, found: set[Path]) -> None:
    if not isinstance(node, dict) or len(path) > 64:
        return
    if not node and path:
        found.add(path)
    for step, child in node.items():
        if step == SELF or step.startswith(("f:", "v:")) or (step.startswith("k:") and _is_keys(step)):
            _walk(child, (*path, step), found)


def _is_keys(step: str) -> bool:
    try:
        return isinstance(json.loads(step.removeprefix("k:")), dict)
    except ValueError:
        return False


def shown(path: Path) -> str:
    """Return a path as conflicts name it, such as `.spec.ports[port=80,protocol="TCP"].targetPort`."""
    text = ""
    for step in path:
        if step.startswith("f:"):
            text += f".{step[2:]}"
        elif step.startswith("k:"):
            text += "[" + ",".join(f"{key}={_compact(value)}" for key, value in step_keys(step).items()) + "]"
        elif step.startswith("v:"):
            text += f"[={step[2:]}]"
    return text
