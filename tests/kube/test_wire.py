"""Lists, watch events and Status as they come over the wire."""

from __future__ import annotations

import json

import pytest

from tests.kube.transcripts import recorded
from userproxy.errors import DecodeError
from userproxy.kube.wire import object_name, parse_bookmark, parse_event, parse_list, parse_status


def test_real_list() -> None:
    listed = recorded("lists")["endpointslices"]
    page = parse_list(json.dumps(listed).encode())
    assert page.version == listed["metadata"]["resourceVersion"]
    assert page.next_page == ""
    assert [json.loads(bytes(item)) for item in page.items] == listed["items"]


def test_page_with_continue() -> None:
    page = parse_list(
        b'{"metadata":{"resourceVersion":"7","continue":"abc","remainingItemCount":3},"items":null}'
    )
    assert (page.version, page.next_page, page.items) == ("7", "abc", [])


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"no healthy upstream",
        b"{}",
        b'{"kind":"Status","metadata":{"resourceVersion":"7"}}',
        b'{"metadata":{},"items":[]}',
        b'{"metadata":{"resourceVersion":"7"},"items":{}}',
        b'{"metadata":{"resourceVersion":"7"},"items":[',
    ],
)
def test_what_is_no_list_is_never_an_empty_list(body: bytes) -> None:
    with pytest.raises(DecodeError):
        parse_list(body)


def test_real_events() -> None:
    for line in recorded("scenarios")["rolling-update"]["endpointslices"]["watch"]:
        event = parse_event(line.encode())
        whole = json.loads(line)
        assert event.type == whole["type"]
        name = object_name(event.object)
        metadata = whole["object"]["metadata"]
        assert (name.namespace, name.name, name.version) == (
            metadata["namespace"],
            metadata["name"],
            metadata["resourceVersion"],
        )


@pytest.mark.parametrize(
    "line", [b"text", b"{}", b'{"type":"ADDED"}', b'{"type":1,"object":{}}', b'{"type":"ADDED","object":']
)
def test_what_is_no_event(line: bytes) -> None:
    with pytest.raises(DecodeError, match=r"^watch event without a readable name"):
        parse_event(line)


@pytest.mark.parametrize(
    ("annotations", "initial_end"),
    [
        (None, False),
        ({}, False),
        ({"k8s.io/initial-events-end": "true"}, True),
        ({"k8s.io/initial-events-end": "false"}, False),
    ],
)
def test_bookmark(annotations: dict[str, str] | None, initial_end: bool) -> None:
    item = {"metadata": {"resourceVersion": "3880", "annotations": annotations}, "endpoints": None}
    event = parse_event(json.dumps({"type": "BOOKMARK", "object": item}).encode())
    bookmark = parse_bookmark(event.object)
    assert (bookmark.version, bookmark.initial_end) == ("3880", initial_end)


def test_status() -> None:
    body = b'{"kind":"Status","message":"too old","reason":"Expired","code":410,"details":{"retryAfterSeconds":3}}'
    status = parse_status(body)
    assert status is not None
    assert (status.code, status.reason, status.message) == (410, "Expired", "too old")
    assert status.details is not None
    assert status.details.retry_after == 3
    assert parse_status(b"no healthy upstream") is None


@pytest.mark.parametrize("data", [b"", b"[]", b"\xff", b"[" * 100_000])
def test_name_of_anything(data: bytes) -> None:
    assert object_name(data).name == ""
