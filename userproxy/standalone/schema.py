"""The shape of API objects: which fields there are, their types, their order on the wire, what is left out when empty.

Bringing a value into its shape (`conform`) is what decoding into Go structs does in a real server: nulls and zero values
of optional fields vanish, wrong types are refused, unknown fields are dropped and named. Everything after it may trust
the types. Merge keys for patches live here too. The shapes of the kinds are in `resources`; no rules beyond types here.
"""

from __future__ import annotations

import enum
from collections.abc import Iterator
from typing import Any

import msgspec

from userproxy.standalone.objects import Json
from userproxy.standalone.statuses import Refusal, bad_request


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


_JSON_NAMES: dict[type, str] = {
    str: "string",
    bool: "bool",
    dict: "object",
    list: "array",
    type(None): "null",
}
_INT_BOUNDS = {Type.INT32: 2**31, Type.INT64: 2**63}


class WrongType(Exception):
    """A value of the wrong JSON type; `path` has indices, the text is Go's."""

    def __init__(self, path: str, text: str) -> None:
        super().__init__(text)
        self.path = path


class Conformed(msgspec.Struct):
    """An object in its shape, and the paths of fields that were dropped because nobody knows them."""

    item: Json
    unknown: list[str]


def conform(item: Any, shape: Shape, *, sparse: bool = False) -> Conformed:
    """Bring a whole object into its shape; a `sparse` one gets no fields that were not given.

    Raises WrongType when a value is of another type than its field.
    """
    walk = _Walk(sparse)
    return Conformed(walk.struct(item, shape, "", ""), walk.unknown)


def refuse_type(kind: str, version: str, fault: WrongType) -> Refusal:
    """Return the 400 that a value of a wrong type deserves."""
    text = f'{kind} in version "{version}" cannot be handled as a {kind}: json: cannot unmarshal {fault}'
    return bad_request(text, fault.path)


def _mismatch(value: Any, shape: Shape, owner: str, path: str, extra: str = "") -> WrongType:
    # ints and floats are "number"; Go adds the number itself when only its range is wrong
    shown = _JSON_NAMES.get(type(value), "number") + extra
    flat = "".join(_without_indices(path))
    return WrongType(path, f"{shown} into Go struct field {owner}.{flat} of type {shape.go_type}")


def _without_indices(path: str) -> Iterator[str]:
    inside = False
    for character in path:
        inside = character == "[" or (inside and character != "]")
        if not inside and character != "]":
            yield character


class _Walk:
    """One pass over an object; collects the paths of unknown fields."""

    def __init__(self, sparse: bool) -> None:
        self._sparse = sparse
        self.unknown: list[str] = []

    def struct(self, value: Any, shape: Shape, owner: str, path: str) -> Json:
        if not isinstance(value, dict):
            raise _mismatch(value, shape, owner, path)
        prefix = f"{path}." if path else ""
        result: Json = {}
        for name, field in shape.fields.items():
            given = value.get(name)
            if given is None:
                if field.always and not self._sparse:
                    result[name] = self._absent(field)
                continue
            made = self._value(given, field, shape.name, prefix + name)
            if made or field.always or field.pointer or field.type is Type.STRUCT:
                result[name] = made if made or field.type is not Type.LIST or not field.always else None
        extra = [name for name in value if name not in shape.fields]
        if shape.is_open:
            result.update((name, value[name]) for name in extra if value[name] is not None)
        else:
            self.unknown.extend(prefix + name for name in extra)
        return result

    def _absent(self, field: Shape) -> Any:
        if field.type is Type.STRUCT:
            return self.struct({}, field, "", "")
        return {Type.STRING: "", Type.BOOL: False, Type.INT32: 0, Type.INT64: 0}.get(field.type)

    def _value(self, value: Any, shape: Shape, owner: str, path: str) -> Any:
        kind = shape.type
        if kind is Type.STRUCT:
            return self.struct(value, shape, owner, path)
        if kind is Type.LIST and shape.item is not None:
            if not isinstance(value, list):
                raise _mismatch(value, shape, owner, path)
            item = shape.item
            return [self._value(each, item, owner, f"{path}[{i}]") for i, each in enumerate(value)]
        if kind is Type.MAP and shape.item is not None:
            if not isinstance(value, dict):
                raise _mismatch(value, shape, owner, path)
            return self._map(value, shape.item, owner, path)
        if not _fits(value, kind):
            raise _mismatch(value, shape, owner, path)
        bound = _INT_BOUNDS.get(kind)
        if bound is not None and not -bound <= value < bound:
            raise _mismatch(value, shape, owner, path, f" {value}")
        return value

    def _map(self, value: Json, item: Shape, owner: str, path: str) -> Json:
        result: Json = {}
        for key in sorted(value):  # Go writes maps sorted by key
            given = value[key]
            if given is None and item.type is Type.STRING:
                given = ""
            result[key] = self._value(given, item, owner, f"{path}.{key}")
        return result


def _fits(value: Any, kind: Type) -> bool:
    if kind is Type.ANY:
        return True
    if kind in (Type.STRING, Type.TIME):
        return isinstance(value, str)
    if kind is Type.BOOL:
        return isinstance(value, bool)
    if isinstance(value, bool):
        return False
    if kind in _INT_BOUNDS:
        return isinstance(value, int)
    if kind is Type.INT_OR_STRING:
        return isinstance(value, int | str)
    return isinstance(value, int | float | str)
