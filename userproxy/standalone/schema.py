"""The shape of API objects: which fields there are, their types, their order on the wire, what is left out when empty.

Owns the values alone: `conforming` brings objects into their shapes. Merge keys for patches live here too. The shapes of the
kinds are in `resources`; no rules beyond types here.
"""

from __future__ import annotations

import enum
import functools
from collections.abc import Callable
from typing import TypeVar

import msgspec

T = TypeVar("T")


class Type(enum.Enum):
    """What a value is; the text is Go's name where a scalar has one."""

    STRING = "string"
    INT32 = "int32"
    INT64 = "int64"
    BOOL = "bool"
    TIME = "v1.Time"
    INT_OR_STRING = "intstr.IntOrString"
    QUANTITY = "resource.Quantity"
    STRUCT = "struct"
    LIST = "list"
    MAP = "map"
    ANY = "any"


class Shape(msgspec.Struct, frozen=True):
    """One type, or one field: `always` fields are written even when absent, `pointer` ones keep their zero values.

    `merge_key` joins list items in strategic merge patches, `list_keys` in server-side apply; lists without either are
    replaced as a whole, as `atomic` structs and maps are. `is_open` structs keep fields that are not described here.
    `doc` is one line for people.
    """

    type: Type
    name: str = ""
    fields: dict[str, Shape] = {}
    item: Shape | None = None
    always: bool = False
    pointer: bool = False
    is_open: bool = False
    is_set: bool = False
    atomic: bool = False
    merge_key: str = ""
    list_keys: tuple[str, ...] = ()
    doc: str = ""

    @property
    def go_type(self) -> str:
        """The type as a Go error message names it."""
        if self.type is Type.STRUCT:
            return f"v1.{self.name}"
        if self.type is Type.LIST and self.item is not None:
            return f"[]{self.item.go_type}"
        if self.type is Type.MAP and self.item is not None:
            return f"map[string]{self.item.go_type}"
        name: str = self.type.value
        return name


def once_for_each(make: Callable[[Shape], T]) -> Callable[[Shape], T]:
    """Return what `make` makes of a shape, made once. By the shape's id, as its hash would go through all of it."""
    made: dict[int, tuple[Shape, T]] = {}  # the shape is kept beside, so that the id stays its own

    @functools.wraps(make)
    def get(shape: Shape) -> T:
        known = made.get(id(shape))
        if known is None:
            known = made[id(shape)] = (shape, make(shape))
        return known[1]

    return get


STRING = Shape(Type.STRING)
INT32 = Shape(Type.INT32)
INT64 = Shape(Type.INT64)
BOOL = Shape(Type.BOOL)
TIME = Shape(Type.TIME)
ANY = Shape(Type.ANY)
INT_OR_STRING = Shape(Type.INT_OR_STRING, pointer=True)


def struct(go_name: str, /, **fields: Shape) -> Shape:
    """A Go struct; fields in the order of the wire."""
    return Shape(Type.STRUCT, name=go_name, fields=fields)


def open_struct(go_name: str, /, **fields: Shape) -> Shape:
    """A Go struct of which only some fields matter here; the others are kept as given."""
    return Shape(Type.STRUCT, name=go_name, fields=fields, is_open=True)


def listing(item: Shape, *, merge_key: str = "", list_keys: tuple[str, ...] = ()) -> Shape:
    """A list; see `Shape` for the keys."""
    return Shape(Type.LIST, item=item, merge_key=merge_key, list_keys=list_keys)


def strings(*, is_set: bool = False) -> Shape:
    """A list of strings; a set is joined by server-side apply, any other list replaced."""
    return Shape(Type.LIST, item=STRING, is_set=is_set)


def mapping(item: Shape = STRING) -> Shape:
    """A map from strings."""
    return Shape(Type.MAP, item=item)


def always(shape: Shape) -> Shape:
    """The field is written even when it is absent or empty (a Go field without omitempty)."""
    return msgspec.structs.replace(shape, always=True)


def pointer(shape: Shape) -> Shape:
    """The field keeps "", 0, false and empty lists when they were given (a Go pointer)."""
    return msgspec.structs.replace(shape, pointer=True)


def atomic(shape: Shape) -> Shape:
    """The field is owned and replaced as a whole."""
    return msgspec.structs.replace(shape, atomic=True)


def said(shape: Shape, doc: str) -> Shape:
    """The field with a line of explanation."""
    return msgspec.structs.replace(shape, doc=doc)
