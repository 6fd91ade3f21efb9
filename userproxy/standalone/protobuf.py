"""Request bodies in application/vnd.kubernetes.protobuf, as typed Go clients send them (`kubectl create service`).

Owns the envelope (runtime.Unknown of k8s.io/apimachinery behind four magic bytes) and the wire format
(protobuf.dev/programming-guides/encoding), as far as the messages of `protobuf_messages` need it. A body becomes the JSON value
that the same object would have; answers are JSON, which every client with this media type takes too.
"""

from __future__ import annotations

import datetime
from collections.abc import Iterator
from typing import Any

import msgspec

from userproxy.standalone.objects import Json
from userproxy.standalone.protobuf_messages import DELETE_OPTIONS, KINDS, Field, Message, messages

MEDIA_TYPE = "application/vnd.kubernetes.protobuf"
MAGIC = b"k8s\x00"
_VARINT, _FIXED64, _BYTES, _FIXED32 = 0, 1, 2, 5
_FIXED = {_FIXED64: 8, _FIXED32: 4}
_EPOCH = datetime.datetime(1970, 1, 1, tzinfo=datetime.UTC)


class ProtobufFault(Exception):
    """Bytes that are no object; the text says why."""


class Decoded(msgspec.Struct, frozen=True):
    """A body's JSON value, and the paths of fields that are in no table, as `spec.#9`."""

    value: Json
    dropped: tuple[str, ...]


def decode(body: bytes) -> Decoded:
    """Return the value of a body. Raises ProtobufFault."""
    if not body.startswith(MAGIC):
        raise ProtobufFault(
            "provided data does not appear to be a protobuf message, expected prefix 'k8s\\0'"
        )
    type_meta, raw = b"", b""
    for number, value in _fields(memoryview(body)[len(MAGIC) :]):
        if number == 1:
            type_meta = _as_bytes(value)
        elif number == 2:
            raw = _as_bytes(value)
    names = {number: _text(value) for number, value in _fields(memoryview(type_meta))}
    version, kind = names.get(1, ""), names.get(2, "")
    message = DELETE_OPTIONS if kind == DELETE_OPTIONS else KINDS.get((version, kind))
    if message is None:
        raise ProtobufFault(f'no kind "{kind}" is registered for version "{version}"')
    reader = _Reader()
    item = reader.message(memoryview(raw), messages()[message], "")
    return Decoded({"kind": kind, "apiVersion": version, **item}, tuple(reader.dropped))


class _Reader:
    """One pass over an object; collects the paths of fields that nobody knows."""

    def __init__(self) -> None:
        self.dropped: list[str] = []
        self._messages = messages()

    def message(self, data: memoryview, message: Message, path: str) -> Json:
        result: Json = {}
        for number, value in _fields(data):
            field = message.get(number)
            if field is None:
                self.dropped.append(f"{path}#{number}")
            elif field.inline:
                result |= self.message(_as_view(value), self._messages[field.type], path)
            elif field.repeated:
                result.setdefault(field.name, []).append(self._value(value, field, path))
            elif field.type in ("map", "quantities"):
                key, text = self._entry(_as_view(value), field)
                result.setdefault(field.name, {})[key] = text
            else:
                made = self._value(value, field, path)
                # Go writes zero values of what is no pointer, which JSON leaves out
                if made or field.pointer or made == {}:
                    result[field.name] = made
        return result

    def _value(self, value: int | memoryview, field: Field, path: str) -> Any:
        scalar = _SCALARS.get(field.type)
        if scalar is not None:
            return scalar(value)
        return self.message(_as_view(value), self._messages[field.type], f"{path}{field.name}.")

    def _entry(self, data: memoryview, field: Field) -> tuple[str, str]:
        key, text = "", ""
        for number, value in _fields(data):
            if number == 1:
                key = _text(value)
            elif number == 2:
                text = _text(value) if field.type == "map" else _quantity(value)
        return key, text


def _fields(data: memoryview) -> Iterator[tuple[int, int | memoryview]]:
    """Yield number and value of each field: an int for varints, bytes for anything with a length."""
    position, end = 0, len(data)
    while position < end:
        tag, position = _varint(data, position)
        number, wire_type = tag >> 3, tag & 7
        if not number:
            raise ProtobufFault("proto: illegal tag 0")
        if wire_type == _VARINT:
            value, position = _varint(data, position)
            yield number, value
            continue
        if wire_type == _BYTES:
            length, position = _varint(data, position)
        elif wire_type in _FIXED:
            length = _FIXED[wire_type]
        else:
            raise ProtobufFault(f"proto: illegal wireType {wire_type}")
        if length > end - position:
            raise ProtobufFault("unexpected EOF")
        yield number, data[position : position + length]
        position += length


def _varint(data: memoryview, position: int) -> tuple[int, int]:
    result = 0
    for shift in range(0, 70, 7):
        if position >= len(data):
            raise ProtobufFault("unexpected EOF")
        byte = data[position]
        position += 1
        result |= (byte & 0x7F) << shift
        if byte < 0x80:
            return result & (2**64 - 1), position
    raise ProtobufFault("proto: integer overflow")


def _as_view(value: int | memoryview) -> memoryview:
    if isinstance(value, int):
        raise ProtobufFault("proto: wrong wireType for a field")
    return value


def _as_bytes(value: int | memoryview) -> bytes:
    return bytes(_as_view(value))


def _text(value: int | memoryview) -> str:
    try:
        return _as_bytes(value).decode()
    except UnicodeDecodeError as fault:
        raise ProtobufFault("proto: a string is not UTF-8") from fault


def _int(value: int | memoryview) -> int:
    if not isinstance(value, int):
        raise ProtobufFault("proto: wrong wireType for a field")
    return value - 2**64 if value >= 2**63 else value


def _bool(value: int | memoryview) -> bool:
    return bool(_int(value))


def _numbers(value: int | memoryview) -> dict[int, int]:
    return {number: _int(part) for number, part in _fields(_as_view(value))}


def _moment(value: int | memoryview) -> tuple[str, int] | None:
    """Return a time without its fraction and the nanoseconds; an empty message is no time at all."""
    parts = _numbers(value)
    if not parts:
        return None
    try:
        moment = _EPOCH + datetime.timedelta(seconds=parts.get(1, 0))
    except OverflowError as fault:
        raise ProtobufFault("a time is out of range") from fault
    return moment.strftime("%Y-%m-%dT%H:%M:%S"), parts.get(2, 0)


def _time(value: int | memoryview) -> str | None:
    moment = _moment(value)
    return None if moment is None else f"{moment[0]}Z"


def _microtime(value: int | memoryview) -> str | None:
    moment = _moment(value)
    return None if moment is None else f"{moment[0]}.{moment[1] // 1000 % 1_000_000:06d}Z"


def _raw(value: int | memoryview) -> Any:
    """Return the JSON value inside a FieldsV1."""
    for number, part in _fields(_as_view(value)):
        if number == 1:
            try:
                return msgspec.json.decode(_as_view(part))
            except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as fault:
                raise ProtobufFault("fieldsV1 is not JSON") from fault
    return {}


def _quantity(value: int | memoryview) -> str:
    return next((_text(part) for number, part in _fields(_as_view(value)) if number == 1), "")


def _int_or_string(value: int | memoryview) -> int | str:
    parts = dict(_fields(_as_view(value)))
    return _text(parts.get(3, memoryview(b""))) if _int(parts.get(1, 0)) == 1 else _int(parts.get(2, 0))


_SCALARS = {
    "string": _text,
    "int": _int,
    "bool": _bool,
    "time": _time,
    "microtime": _microtime,
    "raw": _raw,
    "int-or-string": _int_or_string,
}
