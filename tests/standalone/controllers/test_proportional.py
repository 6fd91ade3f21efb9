"""Hints in proportion to processors, beyond what the recorded scenario shows."""

from __future__ import annotations

from collections import Counter
from typing import Any

import pytest

from userproxy.standalone.controllers.drafts import Draft
from userproxy.standalone.controllers.proportional import share_out, zone_ratios, zone_shares
from userproxy.standalone.objects import Json


def node(zone: str, cpu: str, *, ready: bool = True, **labels: str) -> Json:
    status: dict[str, Any] = {
        "capacity": {"cpu": cpu},
        "conditions": [{"type": "Ready", "status": str(ready)}],
    }
    return {"metadata": {"labels": {"topology.kubernetes.io/zone": zone, **labels}}, "status": status}


def endpoints(**zones: int) -> list[Json]:
    return [
        {"addresses": [f"10.0.{index}.{number}"], "conditions": {"ready": True}, "zone": zone}
        for index, (zone, count) in enumerate(zones.items())
        for number in range(count)
    ]


def hinted(draft: Draft) -> Counter[tuple[str, str]]:
    return Counter(
        (entry["zone"], entry["hints"]["forZones"][0]["name"])
        for entry in draft.endpoints
        if "hints" in entry
    )


def test_ratios() -> None:
    nodes = [node("a", "1500m"), node("a", "500m"), node("b", "2"), node("b", "8", ready=False)]
    assert zone_ratios(nodes) == {"a": 0.5, "b": 0.5}
    role = {"node-role.kubernetes.io/control-plane": ""}
    assert zone_ratios([*nodes, node("c", "8", **role)]) == {"a": 0.5, "b": 0.5}


@pytest.mark.parametrize(
    "nodes", [[], [node("a", "1")], [node("a", "1"), node("b", "much")], [node("", "1")] * 2]
)
def test_nodes_that_tell_too_little(nodes: list[Json]) -> None:
    assert zone_ratios(nodes) == {}


@pytest.mark.parametrize(("count", "possible"), [(1, False), (2, True), (3, False), (4, True)])
def test_too_few_endpoints_for_the_zones(count: int, possible: bool) -> None:
    assert bool(zone_shares({"a": 0.5, "b": 0.5}, count)) is possible


def test_a_rich_zone_lends_to_a_poor_one() -> None:
    draft = Draft("IPv4", [], endpoints(a=9, b=1), changed=True)
    share_out([draft], {"1": node("a", "4"), "2": node("b", "4")})
    assert hinted(draft) == {("a", "a"): 5, ("a", "b"): 4, ("b", "b"): 1}


def test_an_endpoint_without_a_zone_ends_it_for_all() -> None:
    draft = Draft("IPv4", [], [*endpoints(a=2, b=2), {**endpoints(c=1)[0], "zone": ""}], changed=True)
    share_out([draft], {"1": node("a", "4"), "2": node("b", "4")})
    assert not hinted(draft)


def test_slices_whose_hints_still_fit_are_not_written() -> None:
    nodes = {"1": node("a", "4"), "2": node("b", "4")}
    first = Draft("IPv4", [], endpoints(a=3, b=3), changed=True)
    share_out([first], nodes)
    again = Draft("IPv4", [], first.endpoints, existing={}, changed=False)
    share_out([again], nodes)
    assert not again.changed
