"""Objects brought into their shapes, which is what decoding into Go structs does in a real server.

Nulls and zero values of optional fields vanish, wrong types are refused, unknown fields are dropped and named, fields stand in
the order of the wire. Everything after it may trust the types. What has nothing odd in it takes the quick way of `fitting`; for
the rest each shape is made into a reader once, and paths are put together only where something is wrong.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import msgspec

from userproxy.standalone.fitting import fit
from userproxy.standalone.objects import Json
from userproxy.standalone.schema import Shape, Type, once_for_each
from userproxy.standalone.statuses import Refusal, bad_request

_JSON_NAMES: dict[type, str] = {
    str: "string",
    bool: "bool",
    dict: "object",
    list: "array",
    type(None): "null",
}
_BOUNDS = {Type.INT32: 2**31, Type.INT64: 2**63}
_FITTING: dict[Type, tuple[type, ...]] = {
    Type.STRING: (str,),
    Type.TIME: (str,),
    Type.BOOL: (bool,),
    Type.INT_OR_STRING: (int, str),
    Type.QUANTITY: (int, float, str),
}
_ABSENT: dict[Type, Any] = {Type.STRING: "", Type.BOOL: False, Type.INT32: 0, Type.INT64: 0}
"""What an absent field with `always` is; all other types are null then."""

_Reader = Callable[[Any, list[str], bool], Any]
"""Takes a value, the paths of unknown fields found so far, and whether the object is sparse; returns the value in its shape."""


class WrongType(Exception):
    """A value of the wrong JSON type; `path` has indices, the text is Go's."""

    def __init__(self, path: str, text: str) -> None:
        super().__init__(text)
        self.path = path


class _Mismatch(Exception):
    """A WrongType in the making: each level adds its step in front of `path`, and the innermost struct its name."""

    def __init__(self, value: Any, shape: Shape, extra: str = "") -> None:
        super().__init__()
        # ints and floats are "number"; Go adds the number itself when only its range is wrong
        self.shown = _JSON_NAMES.get(type(value), "number") + extra
        self.go_type = shape.go_type
        self.owner = ""
        self.path = ""


class Conformed(msgspec.Struct):
    """An object in its shape, and the paths of fields that were dropped because nobody knows them."""

    item: Json
    unknown: list[str]


def conform(item: Any, shape: Shape, *, sparse: bool = False) -> Conformed:
    """Bring a whole object into its shape; a `sparse` one gets no fields that were not given.

    Raises WrongType when a value is of another type than its field.
    """
    made = None if sparse else fit(item, shape)
    return conform_thoroughly(item, shape, sparse=sparse) if made is None else Conformed(made, [])


def conform_thoroughly(item: Any, shape: Shape, *, sparse: bool = False) -> Conformed:
    """Do what `conform` does for any object at all."""
    unknown: list[str] = []
    try:
        return Conformed(_reader(shape)(item, unknown, sparse), unknown)
    except _Mismatch as fault:
        path = fault.path.removeprefix(".")
        flat = "".join(_without_indices(path))
        text = f"{fault.shown} into Go struct field {fault.owner}.{flat} of type {fault.go_type}"
        raise WrongType(path, text) from fault


def refuse_type(kind: str, version: str, fault: WrongType) -> Refusal:
    """Return the 400 that a value of a wrong type deserves."""
    text = f'{kind} in version "{version}" cannot be handled as a {kind}: json: cannot unmarshal {fault}'
    return bad_request(text, fault.path)


def _without_indices(path: str) -> Iterator[str]:
    inside = False
    for character in path:
        inside = character == "[" or (inside and character != "]")
        if not inside and character != "]":
            yield character


@once_for_each
def _reader(shape: Shape) -> _Reader:
    if shape.type is Type.STRUCT:
        return _Struct(shape).read
    if shape.type is Type.LIST and shape.item is not None:
        return _list_reader(shape, shape.item)
    if shape.type is Type.MAP and shape.item is not None:
        return _map_reader(shape, shape.item)
    if shape.type in _BOUNDS:
        return _int_reader(shape, _BOUNDS[shape.type])
    fitting = _FITTING.get(shape.type)
    if fitting is None:
        return lambda value, _unknown, _sparse: value

    def read(value: Any, _unknown: list[str], _sparse: bool) -> Any:
        if type(value) not in fitting:
            raise _Mismatch(value, shape)
        return value

    return read


def _int_reader(shape: Shape, bound: int) -> _Reader:
    def read(value: Any, _unknown: list[str], _sparse: bool) -> Any:
        if type(value) is not int:
            raise _Mismatch(value, shape)
        if not -bound <= value < bound:
            raise _Mismatch(value, shape, f" {value}")
        return value

    return read


def _list_reader(shape: Shape, item: Shape) -> _Reader:
    read_item = _reader(item)

    def read(value: Any, unknown: list[str], sparse: bool) -> Any:
        if type(value) is not list:
            raise _Mismatch(value, shape)
        result = []
        for index, each in enumerate(value):
            known = len(unknown)
            try:
                result.append(read_item(each, unknown, sparse))
            except _Mismatch as fault:
                fault.path = f"[{index}]{fault.path}"
                raise
            if len(unknown) != known:
                unknown[known:] = [f"[{index}].{path}" for path in unknown[known:]]
        return result

    return read


def _map_reader(shape: Shape, item: Shape) -> _Reader:
    read_item = _reader(item)
    of_strings = item.type is Type.STRING

    def read(value: Any, unknown: list[str], sparse: bool) -> Any:
        if type(value) is not dict:
            raise _Mismatch(value, shape)
        result = {}
        for key in sorted(value):  # Go writes maps sorted by key
            given = value[key]
            if given is None and of_strings:
                given = ""
            try:
                result[key] = read_item(given, unknown, sparse)
            except _Mismatch as fault:
                fault.path = f".{key}{fault.path}"
                raise
        return result

    return read


_Field = tuple[int, _Reader, bool, bool, bool]
"""What a struct needs of one field: its place, its reader, whether an empty value stays, whether that becomes null, and
whether there are fields in it."""


class _Struct:
    """The reader of a struct."""

    def __init__(self, shape: Shape) -> None:
        self._shape = shape
        self._fields = {
            name: _field(place, field) for place, (name, field) in enumerate(shape.fields.items())
        }
        self._always = [(name, field) for name, field in shape.fields.items() if field.always]

    def read(self, value: Any, unknown: list[str], sparse: bool) -> Json:
        """Return a value in the shape. Raises _Mismatch."""
        if type(value) is not dict:
            raise _Mismatch(value, self._shape)
        result: Json = {}
        extra: list[str] = []
        last, in_order, name = -1, True, ""
        fields = self._fields
        try:
            for name, given in value.items():
                field = fields.get(name)
                if field is None:
                    extra.append(name)
                    continue
                if given is None:
                    continue
                place, read, keeps_empty, null_when_empty, holds_fields = field
                if holds_fields:
                    known = len(unknown)
                    made = read(given, unknown, sparse)
                    if len(unknown) != known:
                        unknown[known:] = [_joined(name, path) for path in unknown[known:]]
                else:
                    made = read(given, unknown, sparse)
                if not made:
                    if not keeps_empty:
                        continue
                    if null_when_empty:
                        made = None
                if place < last:
                    in_order = False
                last = place
                result[name] = made
        except _Mismatch as fault:
            fault.owner = fault.owner or self._shape.name
            fault.path = f".{name}{fault.path}"
            raise
        if not sparse:
            for name, shape in self._always:
                if name not in result:
                    result[name], in_order = self._absent(shape), False
        if not in_order:
            result = {name: result[name] for name in fields if name in result}
        if extra:
            self._take_extra(value, extra, result, unknown)
        return result

    def _take_extra(self, value: Json, extra: list[str], result: Json, unknown: list[str]) -> None:
        if self._shape.is_open:
            result.update((name, value[name]) for name in extra if value[name] is not None)
        else:
            unknown.extend(extra)

    @staticmethod
    def _absent(shape: Shape) -> Any:
        return _reader(shape)({}, [], False) if shape.type is Type.STRUCT else _ABSENT.get(shape.type)


def _field(place: int, field: Shape) -> _Field:
    return (
        place,
        _reader(field),
        field.always or field.pointer or field.type is Type.STRUCT,
        field.always and field.type is Type.LIST,
        field.type in (Type.STRUCT, Type.LIST, Type.MAP),
    )


def _joined(name: str, path: str) -> str:
    return f"{name}{path}" if path.startswith("[") else f"{name}.{path}"
