"""The quick way into a shape: most objects that are written have nothing odd, and msgspec brings those into shape in C.

Owns the translation of shapes into msgspec types. Whatever these do not take (nulls, unknown or free fields, wrong types, empty
lists that become null) is `conforming`'s to bring into shape, or to refuse by name. What both take comes out the same.
"""

from __future__ import annotations

import types
from typing import Annotated, Any

import msgspec

from userproxy.standalone.objects import Json
from userproxy.standalone.schema import Shape, Type, once_for_each

_SCALARS: dict[Type, Any] = {
    Type.STRING: str,
    Type.TIME: str,
    Type.BOOL: bool,
    Type.INT32: Annotated[int, msgspec.Meta(ge=-(2**31), le=2**31 - 1)],
    Type.INT64: Annotated[int, msgspec.Meta(ge=-(2**63), le=2**63 - 1)],
    Type.INT_OR_STRING: int | str,
}
_ZERO: dict[Type, Any] = {Type.STRING: "", Type.TIME: "", Type.BOOL: False, Type.INT32: 0, Type.INT64: 0}
_ABSENT: dict[Type, Any] = {Type.STRING: "", Type.BOOL: False, Type.INT32: 0, Type.INT64: 0}
"""What an absent field with `always` is; other scalars are null then."""


def fit(value: Any, shape: Shape) -> Json | None:
    """Return an object in its shape, None when that takes more than this."""
    try:
        made: Json = msgspec.to_builtins(msgspec.convert(value, _struct(shape)), order="deterministic")
    except (msgspec.ValidationError, RecursionError, TypeError):
        return None
    return made


@once_for_each
def _struct(shape: Shape) -> type[msgspec.Struct]:
    # fields without a type here, such as free ones, are refused as unknown
    fields = [_field(name, field) for name, field in shape.fields.items() if _type(field) is not None]
    return msgspec.defstruct(
        shape.name, fields, omit_defaults=True, forbid_unknown_fields=True, rename=lambda name: name[1:]
    )


def _type(shape: Shape) -> Any:
    """Return the msgspec type of what a shape holds, None when there is none."""
    if shape.type is Type.STRUCT:
        return _struct(shape)
    if shape.item is None:
        return _SCALARS.get(shape.type)
    item = _type(shape.item)
    if item is None:
        return None
    return types.GenericAlias(*((list, (item,)) if shape.type is Type.LIST else (dict, (str, item))))


def _field(name: str, shape: Shape) -> tuple[str, Any, Any]:
    """Return a field as `defstruct` takes it; names get a letter in front, as some are keywords."""
    known, attribute = _type(shape), f"_{name}"
    if shape.always:
        return (attribute, *_always(shape, known))
    if shape.pointer or shape.type is Type.STRUCT:
        return (attribute, known | msgspec.UnsetType, msgspec.UNSET)
    if shape.item is not None:
        empty = list if shape.type is Type.LIST else dict
        return (attribute, known, msgspec.field(default_factory=empty))
    return (attribute, known, _ZERO[shape.type])


def _always(shape: Shape, known: Any) -> tuple[Any, Any]:
    """Return type and default of a field that is never left out; only values of a factory are written when they are default."""
    if shape.type is Type.STRUCT:
        return known, msgspec.field(default_factory=lambda: known())
    if shape.type is Type.LIST:
        filled = Annotated[known, msgspec.Meta(min_length=1)]
        return filled | None, msgspec.field(default_factory=lambda: None)
    absent = _ABSENT.get(shape.type)
    return (known if absent is not None else known | None), msgspec.field(default_factory=lambda: absent)
