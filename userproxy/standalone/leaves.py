"""Which fields of an object somebody owns, with their values: every write asks this, of the new state and of the old.

Owns the walk over objects. Their shapes are made into trees of places once, so that the paths of most fields are
there already and shared by all objects. What the paths mean is in `fieldsets`.
"""

from __future__ import annotations

from typing import Any

from userproxy.standalone.fieldsets import SELF, Path, compact, item_step
from userproxy.standalone.objects import Json
from userproxy.standalone.schema import ANY, Shape, Type, once_for_each

_METADATA_FIELDS = frozenset(("annotations", "finalizers", "generateName", "labels", "ownerReferences"))
"""Metadata that someone owns; the rest belongs to the server."""
_MOST_BELOW = 256
_LONGEST_STEP = 320
"""Places kept below a map or list, and letters of their keys: these come from clients."""

Leaves = dict[Path, Any]
"""Values by their paths; maps, lists and structs that are owned themselves are there with True."""


class _Place:
    """One field, map entry or list item of all objects of a kind."""

    __slots__ = ("_below", "_fields", "_item", "_itself", "_shape", "is_leaf", "path")

    def __init__(self, path: Path, shape: Shape) -> None:
        self.path = path
        self._itself = (*path, SELF)
        self._shape = shape
        self._item = shape.item if shape.item is not None else ANY
        self._fields = shape.fields if shape.type is Type.STRUCT else None
        self._below: dict[str, _Place] = {}
        has_parts = shape.type is Type.STRUCT or (shape.item is not None and shape.type is Type.MAP)
        in_list = bool(shape.item is not None and shape.list_keys) or shape.is_set
        self.is_leaf = not ((has_parts and not shape.atomic) or in_list)

    def add(self, value: Any, found: Leaves) -> None:
        """Note the leaves of a value here."""
        if self.is_leaf or not value:
            found[self.path] = value
        elif type(value) is dict:
            if (
                not self._shape.always or self._fields is None
            ):  # may be absent, so that being there is something to own
                found[self._itself] = True
            self.add_parts(value, found)
        elif type(value) is list:
            found[self._itself] = True
            self._add_items(value, found)
        else:
            found[self.path] = value

    def add_parts(self, value: Json, found: Leaves) -> None:
        """Note the leaves of what is in a struct or map."""
        below = self._below
        for name, part in value.items():
            place = below.get(name)
            if place is None:
                field = self._item if self._fields is None else self._fields.get(name, ANY)
                place = self._keep(name, (*self.path, f"f:{name}"), field)
            if place.is_leaf:
                found[place.path] = part
            else:
                place.add(part, found)

    def _add_items(self, value: list[Any], found: Leaves) -> None:
        if not self._shape.list_keys:
            found.update(((*self.path, f"v:{compact(item)}"), item) for item in value)
            return
        if self._item.atomic:
            found.update(((*self.path, item_step(item, self._shape)), item) for item in value)
            return
        for item in value:
            step = item_step(item, self._shape)
            place = self._below.get(step) or self._keep(step, (*self.path, step), self._item)
            found[place._itself] = True
            place.add_parts(item, found)

    def _keep(self, step: str, path: Path, shape: Shape) -> _Place:
        place = _Place(path, shape)
        if len(step) <= _LONGEST_STEP:
            if len(self._below) >= _MOST_BELOW:
                self._below.clear()
            self._below[step] = place
        return place


@once_for_each
def _roots(shape: Shape) -> dict[str, _Place]:
    return {name: _Place((f"f:{name}",), field) for name, field in shape.fields.items()}


def leaves(item: Json, shape: Shape, *, status: bool) -> Leaves:
    """Return every owned field of an object with its value; `status`: the status alone, or everything but it."""
    roots = _roots(shape)
    found: Leaves = {}
    for name, value in item.items():
        if name in ("kind", "apiVersion") or (name == "status") != status:
            continue
        if name == "metadata":
            value = {key: part for key, part in value.items() if key in _METADATA_FIELDS}
            if not value:
                continue
        place = roots.get(name) or _Place((f"f:{name}",), ANY)
        place.add(value, found)
    return found
