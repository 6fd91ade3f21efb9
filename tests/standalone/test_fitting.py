"""The quick way into a shape gives what the thorough one gives, down to the order of fields, or nothing."""

from __future__ import annotations

import random
from typing import Any

import msgspec
import pytest

from userproxy.standalone.conforming import WrongType, conform_thoroughly
from userproxy.standalone.fitting import fit
from userproxy.standalone.kinds import KINDS, POD, Kind
from userproxy.standalone.schema import Shape, Type

_SCALARS: dict[Type, tuple[Any, ...]] = {
    Type.STRING: ("", "a", "é"),
    Type.TIME: ("", "2026-01-01T00:00:00Z"),
    Type.BOOL: (True, False),
    Type.INT32: (0, 1, -(2**31), 2**31 - 1),
    Type.INT64: (0, 1, -(2**63), 2**63 - 1),
    Type.INT_OR_STRING: (0, 80, "", "http", 2**70),
    Type.QUANTITY: ("1Gi", 2, 0.5),
}
_ODD = (None, True, 2**31, 2**63, -(2**63) - 1, 1.0, "x", [], {}, [None], {"x": None}, {"x": 1}, [1])


def _value(shape: Shape, draw: random.Random) -> Any:
    """A value of a shape, now and then one that does not belong there."""
    if draw.random() < 0.02:
        return draw.choice(_ODD)
    if shape.type is Type.STRUCT:
        names = [name for name in shape.fields if draw.random() < 0.6]
        draw.shuffle(names)
        return {name: _value(shape.fields[name], draw) for name in names}
    if shape.item is None:
        return draw.choice(_SCALARS.get(shape.type, ({"f:b": {"f:a": {}}},)))
    size = draw.randrange(3)
    if shape.type is Type.LIST:
        return [_value(shape.item, draw) for _number in range(size)]
    return {draw.choice("bac"): _value(shape.item, draw) for _number in range(size)}


@pytest.mark.parametrize("kind", KINDS, ids=lambda kind: kind.kind)
def test_what_fits_is_what_the_thorough_way_makes(kind: Kind) -> None:
    draw, fitted = random.Random(kind.kind), 0
    for _number in range(600):
        value = _value(kind.shape, draw)
        made = fit(value, kind.shape)
        if made is not None:
            thorough = conform_thoroughly(value, kind.shape)
            assert msgspec.json.encode(made) == msgspec.json.encode(thorough.item), value
            assert thorough.unknown == []
            fitted += 1
    assert fitted > 20


@pytest.mark.parametrize("odd", _ODD)
def test_nothing_odd_passes_that_the_thorough_way_refuses(odd: Any) -> None:
    for field in ("metadata", "spec", "status", "kind", "x"):
        try:
            conform_thoroughly({field: odd}, POD.shape)
        except WrongType:
            assert fit({field: odd}, POD.shape) is None
