"""Packing of endpoints into slices: nothing lost, nothing twice, no slice too full, and as few writes as the rules ask for."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from userproxy.standalone.controllers.drafts import Draft, endpoint_key
from userproxy.standalone.controllers.packing import Wanted, pack
from userproxy.standalone.objects import Json

LABELS = {"a": "b"}


def endpoint(number: int, *, ready: bool = True) -> Json:
    return {"addresses": [f"10.0.{number // 250}.{number % 250}"], "conditions": {"ready": ready}}


def item(name: str, *numbers: int) -> Json:
    return {"metadata": {"name": name, "labels": LABELS}, "endpoints": [endpoint(n) for n in numbers]}


def wanted(*numbers: int, unready: tuple[int, ...] = ()) -> Wanted:
    endpoints = [endpoint(number, ready=number not in unready) for number in numbers]
    return {endpoint_key(entry): entry for entry in endpoints}


def name_of(draft: Draft) -> str:
    return str(draft.existing["metadata"]["name"]) if draft.existing else ""


def sizes(drafts: list[Draft]) -> dict[str, tuple[int, bool]]:
    return {name_of(draft): (draft.size, draft.changed) for draft in drafts}


def test_a_slice_that_is_written_anyway_is_filled_first() -> None:
    existing = [item("full", 1, 2, 3), item("some", 4, 5), item("few", 6)]
    found = pack("IPv4", [], wanted(1, 2, 3, 4, 6, 7, 8, unready=(6,)), existing, 3, LABELS)
    # "some" lost an endpoint and "few" has one that changed: both are written, the fuller of them is filled first
    assert sizes(found.drafts) == {"full": (3, False), "some": (3, True), "few": (1, True)}


def test_the_slice_that_gets_fullest_takes_what_is_left() -> None:
    existing = [item("few", 1), item("some", 2, 3), item("full", 4, 5, 6, 7)]
    found = pack("IPv4", [], wanted(1, 2, 3, 4, 5, 6, 7, 8), existing, 4, LABELS)
    assert sizes(found.drafts) == {"few": (1, False), "some": (3, True), "full": (4, False)}


def test_an_empty_slice_leaves() -> None:
    found = pack("IPv4", [], wanted(2), [item("a", 1), item("b", 2)], 4, LABELS)
    assert [entry["metadata"]["name"] for entry in found.leaving] == ["a"]
    assert sizes(found.drafts) == {"b": (1, False)}


def test_other_labels_are_a_change() -> None:
    found = pack("IPv4", [], wanted(1), [item("a", 1)], 4, {"a": "c"})
    assert sizes(found.drafts) == {"a": (1, True)}


@given(
    before=st.lists(st.sets(st.integers(0, 60), max_size=5), max_size=6),
    after=st.sets(st.integers(0, 60), max_size=40),
)
def test_everything_wanted_stands_once(before: list[set[int]], after: set[int]) -> None:
    taken: set[int] = set()
    existing = []
    for index, numbers in enumerate(before):
        if numbers - taken:
            existing.append(item(f"s{index}", *(numbers - taken)))
        taken |= numbers
    found = pack("IPv4", [], wanted(*after), existing, 5, LABELS)
    placed = [endpoint_key(entry) for draft in found.drafts for entry in draft.endpoints]
    assert sorted(placed) == sorted(wanted(*after))
    assert all(0 < draft.size <= 5 for draft in found.drafts)
    for draft in found.drafts:
        assert draft.changed or (draft.existing and draft.endpoints == draft.existing["endpoints"])
    assert {name_of(d) for d in found.drafts if d.existing} | {
        e["metadata"]["name"] for e in found.leaving
    } == {e["metadata"]["name"] for e in existing}
