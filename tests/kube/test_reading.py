"""One bad object harms no other, and is complained of once for each thing that is wrong with it."""

from __future__ import annotations

import json

import pytest

from tests.kube.objects import Object, endpoint_slice
from userproxy.kube import reading
from userproxy.kube.decode import SLICES
from userproxy.kube.reading import ObjectReader
from userproxy.kube.store import Listing
from userproxy.model import ServiceName

KEY = ServiceName("default", "x")


class Reading:
    def __init__(self) -> None:
        self.said: list[str] = []
        self.reader = ObjectReader(SLICES, self.said.append)
        self.listing = Listing()

    def read(self, item: Object, version: str = "7") -> str:
        item["metadata"]["resourceVersion"] = version
        return self.reader.read(json.dumps(item).encode(), self.listing)


def test_version_and_object() -> None:
    both = Reading()
    assert both.read(endpoint_slice("x", "web", "10.1.0.1")) == "7"
    assert list(both.listing.objects) == [KEY]
    assert (
        both.reader.remove(
            json.dumps({"metadata": {"name": "x", "namespace": "default"}}).encode(), both.listing
        )
        == ""
    )
    assert both.listing.objects == {}


def test_unreadable_object_is_kept_counted_and_said_once() -> None:
    both = Reading()
    bad = endpoint_slice("x", "web", endpoints=7)
    assert both.read(bad) == "7"
    assert both.read(bad, "8") == "8"
    assert both.reader.errors == 2
    assert both.listing.unreadable == {KEY}
    assert both.said == [
        "EndpointSlice default/x cannot be read: field endpoints: Expected array | null, got int; object skipped"
    ]


def test_mended_and_broken_again_is_said_again() -> None:
    both = Reading()
    bad, good = endpoint_slice("x", "web", "10.1.0.01"), endpoint_slice("x", "web", "10.1.0.1")
    for item in (bad, bad, good, bad):
        both.read(item)
    assert len(both.said) == 2


def test_memory_of_complaints_is_bounded() -> None:
    both = Reading()
    for number in range(reading.MOST_REMEMBERED + 5):
        both.read(endpoint_slice(f"x{number}", "web", "bad"))
    assert len(both.said) == reading.MOST_REMEMBERED + 5
    both.read(endpoint_slice(f"x{reading.MOST_REMEMBERED + 4}", "web", "bad"))
    assert len(both.said) == reading.MOST_REMEMBERED + 5


def event_of(kind: str, item: Object) -> bytes:
    return json.dumps({"type": kind, "object": item}).encode()


def test_an_event_that_adds_or_modifies_is_read_in_one_go() -> None:
    both = Reading()
    for kind in ("ADDED", "MODIFIED"):
        item = endpoint_slice("x", "web", "10.1.0.1")
        item["metadata"]["resourceVersion"] = kind
        assert both.reader.read_event(event_of(kind, item), both.listing) == kind
    assert list(both.listing.objects) == [KEY]


@pytest.mark.parametrize(
    "line",
    [
        event_of("DELETED", endpoint_slice("x", "web", "10.1.0.1")),
        event_of("BOOKMARK", {"kind": "EndpointSlice", "metadata": {"resourceVersion": "9"}}),
        event_of("ERROR", {"kind": "Status", "metadata": {}, "code": 410}),
        event_of("ADDED", endpoint_slice("", "web", "10.1.0.1")),
        event_of("ADDED", endpoint_slice("x", "web", endpoints=7)),
        b'{"type":"ADDED"',
        b"\xff",
    ],
    ids=["deleted", "bookmark", "error", "no name", "bad object", "cut", "not text"],
)
def test_any_other_line_is_left_to_a_closer_look(line: bytes) -> None:
    both = Reading()
    assert both.reader.read_event(line, both.listing) is None
    assert (both.listing.objects, both.said, both.reader.errors) == ({}, [], 0)
