"""Bodies in protobuf: what kubectl sent to a real server and what that answered, read by our table; and hostile bytes."""

from __future__ import annotations

import base64
import contextlib
import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.standalone.conftest import SERVICES, Client, service
from userproxy.standalone.conforming import conform
from userproxy.standalone.kinds import KINDS, by_kind
from userproxy.standalone.protobuf import MAGIC, MEDIA_TYPE, ProtobufFault, decode
from userproxy.standalone.protobuf_messages import KINDS as MESSAGES
from userproxy.standalone.protobuf_messages import messages
from userproxy.standalone.schema import Shape, Type

RECORDED = [
    json.loads(line) for line in (Path(__file__).parent / "data" / "protobuf.jsonl").read_text().splitlines()
]


@pytest.mark.parametrize("recorded", RECORDED, ids=lambda recorded: recorded["name"])
def test_recorded_bodies(recorded: dict[str, Any]) -> None:
    """The same object, once in protobuf and once in JSON as the same server gave it."""
    decoded = decode(base64.b64decode(recorded["protobuf"]))
    assert decoded.dropped == tuple(recorded.get("dropped", ()))
    kind = by_kind(decoded.value["apiVersion"], decoded.value["kind"])
    if kind is None:
        assert decoded.value == recorded["json"]
        return
    read = conform(decoded.value, kind.shape)
    assert read.unknown == []
    assert read.item == conform(recorded["json"], kind.shape).item


def test_every_kind_has_a_message() -> None:
    for kind in KINDS:
        fields = messages()[MESSAGES[(kind.api_version, kind.kind)]]
        assert {field.name for field in fields.values()} <= kind.shape.fields.keys()


def test_the_table_agrees_with_the_shapes() -> None:
    """Every field of a shape has a number, of the same kind of type and with the same zero value."""
    missing: list[str] = []

    def walk(shape: Shape, message: str, path: str) -> None:
        fields = {field.name: field for field in messages()[message].values()}
        fields |= {
            inner.name: inner
            for field in fields.values()
            if field.inline
            for inner in messages()[field.type].values()
        }
        for name, given_shape in shape.fields.items():
            if name in ("kind", "apiVersion") and not path:
                continue
            field, inner = fields.get(name), given_shape
            if field is None:
                missing.append(f"{path}{name}")
                continue
            assert field.repeated == (inner.type is Type.LIST), f"{path}{name}"
            if inner.type is Type.LIST and inner.item is not None:
                inner = inner.item
            if inner.type is Type.STRUCT:
                walk(inner, field.type, f"{path}{name}.")
            elif inner.type in (Type.INT32, Type.INT64, Type.BOOL, Type.STRING):
                assert field.type == {"int32": "int", "int64": "int"}.get(inner.type.value, inner.type.value)
                assert field.pointer == inner.pointer or shape.is_open, f"{path}{name}"

    for (version, name), message in MESSAGES.items():
        kind = by_kind(version, name)
        if kind is not None:
            walk(kind.shape, message, "")
    assert missing == []


@given(st.binary(max_size=80))
def test_any_bytes_are_read_or_refused(body: bytes) -> None:
    for start in (b"", MAGIC, base64.b64decode(RECORDED[0]["protobuf"])[:40]):
        with contextlib.suppress(ProtobufFault):
            decode(start + body)


@given(st.integers(0, 400), st.integers(0, 255))
def test_a_changed_byte_is_read_or_refused(position: int, byte: int) -> None:
    body = bytearray(base64.b64decode(RECORDED[0]["protobuf"]))
    body[position % len(body)] = byte
    with contextlib.suppress(ProtobufFault):
        decode(bytes(body))


def envelope(version: str, kind: str, raw: bytes) -> bytes:
    def field(number: int, value: bytes) -> bytes:
        return bytes([number << 3 | 2, len(value)]) + value

    return MAGIC + field(1, field(1, version.encode()) + field(2, kind.encode())) + field(2, raw)


async def test_over_http(api: Client) -> None:
    recorded = next(each for each in RECORDED if each["name"].startswith("101"))
    body = base64.b64decode(recorded["protobuf"])
    made = await api.ok("POST", SERVICES, body, MEDIA_TYPE)
    assert made["spec"]["ports"] == [{"name": "80-8080", "protocol": "TCP", "port": 80, "targetPort": 8080}]
    assert (await api.call("POST", SERVICES, body, MEDIA_TYPE))[0] == 409
    for wrong, says in (
        (b"{}", "expected prefix"),
        (envelope("v1", "Secret", b""), 'no kind "Secret" is registered for version "v1"'),
        (envelope("v1", "Pod", b""), "unknown conversion"),
        (envelope("v1", "Service", b"\x0a\xff"), "unexpected EOF"),
    ):
        status, answer = await api.call("POST", SERVICES, wrong, MEDIA_TYPE)
        assert (status, answer["reason"]) == (400, "BadRequest")
        assert says in answer["message"]
    options = envelope("v1", "DeleteOptions", b"\x12\x03\x0a\x01x")
    assert (await api.call("DELETE", f"{SERVICES}/c1", options, MEDIA_TYPE))[0] == 409  # another uid
    assert (await api.call("DELETE", f"{SERVICES}/c1", envelope("v1", "DeleteOptions", b""), MEDIA_TYPE))[
        0
    ] == 200


async def test_fields_that_are_not_known_are_named(api: Client) -> None:
    await api.ok("POST", SERVICES, service("a"))
    raw = (
        b"\x0a\x03\x0a\x01b" + b"\x12\x0a\x0a\x02\x18\x50\xfa\x3f\x03abc"
    )  # ports[0].port 80, and a field 1023
    async with api.session.post(
        api.url + SERVICES, data=envelope("v1", "Service", raw), headers={"Content-Type": MEDIA_TYPE}
    ) as response:
        assert response.status == 201, await response.text()
        assert 'field \\"spec.#1023\\" of the protobuf body' in response.headers["Warning"]
