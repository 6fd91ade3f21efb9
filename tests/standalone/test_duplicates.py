"""Fields given twice in a body: found with their paths, refused, warned of or ignored as the client wishes."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest

from tests.standalone.conftest import SERVICES, Client
from userproxy.standalone.duplicates import duplicate_fields

TWICE = b'{"metadata":{"name":"dup"},"spec":{"type":"ClusterIP","type":"NodePort","ports":[{"port":80}]}}'


def decoded(text: bytes) -> Any:
    try:
        return msgspec.json.decode(text)
    except (ValueError, RecursionError):
        return None


@pytest.mark.parametrize(
    ("text", "paths"),
    [
        (b"{}", ()),
        (b'{"a":{"b":1},"c":{"b":1}}', ()),
        (b'{"a":1,"a":2,"a":3}', ("a",)),
        (b'{"a":[{"b":1,"b":2},{"b":1},{"c":{"d":1,"d":{}}}]}', ("a[0].b", "a[2].c.d")),
        (b"{", ()),
        (b"\xff", ()),
        (b"[" * 100_000, ()),
    ],
)
def test_paths(text: bytes, paths: tuple[str, ...]) -> None:
    assert duplicate_fields(text, decoded(text)) == paths


@pytest.mark.parametrize(
    "text",
    [
        b'{"a": 1,\n "b": [1.50, 1e2, "\\u00e9\\/"], "a": 1}',
        b'{"a":"b\\":1,\\"","a":"b\\":1,\\""}',
        b' {"a":{"x":1},"a":{"x":1}} ',
    ],
)
def test_spaces_and_escapes_hide_nothing(text: bytes) -> None:
    assert duplicate_fields(text, decoded(text)) == ("a",)


def test_many_are_not_all_named() -> None:
    text = b"{" + b",".join(b'"%d":1,"%d":2' % (n, n) for n in range(1000)) + b"}"
    assert 10 < len(duplicate_fields(text, decoded(text))) < 100


async def test_strict_refuses_as_a_real_server_does(api: Client) -> None:
    status, answer = await api.call("POST", f"{SERVICES}?dryRun=All&fieldValidation=Strict", TWICE)
    assert (status, answer["reason"], answer["message"]) == (
        400,
        "BadRequest",
        'Service in version "v1" cannot be handled as a Service: strict decoding error: duplicate field "spec.type"',
    )


async def test_warn_and_ignore_take_the_last(api: Client) -> None:
    for validation, warnings in (("Warn", ['299 - "duplicate field \\"spec.type\\""']), ("Ignore", [])):
        url = f"{api.url}{SERVICES}?dryRun=All&fieldValidation={validation}"
        headers = {"Content-Type": "application/json"}
        async with api.session.post(url, data=TWICE, headers=headers) as response:
            assert response.status == 201
            assert response.headers.getall("Warning", []) == warnings
            assert (await response.json())["spec"]["type"] == "NodePort"


async def test_yaml_with_a_key_twice_is_refused(api: Client) -> None:
    status, answer = await api.call(
        "POST",
        SERVICES,
        b"metadata: {name: a}\nspec:\n  type: ClusterIP\n  type: NodePort\n",
        "application/yaml",
    )
    assert status == 400
    assert "line 4" in answer["message"]
    assert "'type' is given twice" in answer["message"]
