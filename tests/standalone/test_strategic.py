"""Strategic merge patches: lists joined by keys, and the directives of kubectl."""

from __future__ import annotations

from typing import Any

import pytest

from userproxy.standalone.kinds import POD, SERVICE
from userproxy.standalone.objects import clone
from userproxy.standalone.statuses import Refusal
from userproxy.standalone.strategic import strategic_patch

LIVE: dict[str, Any] = {
    "metadata": {"name": "a", "labels": {"x": "1", "y": "2"}, "finalizers": ["a/a", "b/b"]},
    "spec": {
        "ports": [{"port": 80, "name": "http"}, {"port": 443, "name": "https"}, {"port": 9, "name": "nine"}]
    },
}


def ports(patch: Any) -> list[Any]:
    before = clone(LIVE)
    result: list[Any] = strategic_patch(LIVE, {"spec": patch}, SERVICE.shape)["spec"]["ports"]
    assert before == LIVE  # the target is not changed
    return [(port["port"], port.get("name")) for port in result]


def test_items_are_joined_by_their_key() -> None:
    assert ports({"ports": [{"port": 443, "name": "tls"}, {"port": 1, "name": "new"}]}) == [
        *((80, "http"), (443, "tls"), (9, "nine"), (1, "new"))
    ]


def test_items_are_deleted_and_lists_replaced() -> None:
    assert ports({"ports": [{"$patch": "delete", "port": 443}]}) == [(80, "http"), (9, "nine")]
    assert ports({"ports": [{"port": 1}, {"$patch": "replace"}]}) == [(1, None)]


def test_the_order_of_the_patch_is_followed() -> None:
    order = {"$setElementOrder/ports": [{"port": 443}, {"port": 80}]}
    assert ports(order) == [(443, "https"), (80, "http"), (9, "nine")]


def test_maps_and_plain_lists() -> None:
    def patched(metadata: Any) -> Any:
        return strategic_patch(LIVE, {"metadata": metadata}, SERVICE.shape)["metadata"]

    assert patched({"labels": {"x": None}})["labels"] == {"y": "2"}
    assert patched({"labels": {"$patch": "replace", "z": "3"}})["labels"] == {"z": "3"}
    assert patched({"finalizers": ["c/c", "a/a"]})["finalizers"] == ["a/a", "b/b", "c/c"]
    assert patched({"$deleteFromPrimitiveList/finalizers": ["a/a"]})["finalizers"] == ["b/b"]
    assert patched({"$retainKeys": ["name"], "name": "b"}) == {"name": "b"}


def test_lists_within_items_are_joined_too() -> None:
    live = {"spec": {"containers": [{"name": "c", "ports": [{"containerPort": 1}], "image": "i"}]}}
    patch = {"spec": {"containers": [{"name": "c", "ports": [{"containerPort": 2}]}]}}
    (container,) = strategic_patch(live, patch, POD.shape)["spec"]["containers"]
    assert container == {"name": "c", "ports": [{"containerPort": 1}, {"containerPort": 2}], "image": "i"}


@pytest.mark.parametrize(
    "patch",
    [
        [],
        {"$patch": "nonsense"},
        {"spec": {"ports": [{"name": "no key"}]}},
        {"spec": {"ports": ["x"]}},
        {"spec": {"$setElementOrder/ports": 1}},
        {"$retainKeys": 1},
    ],
)
def test_bad_patches_are_refused(patch: Any) -> None:
    with pytest.raises(Refusal) as caught:
        strategic_patch(LIVE, patch, SERVICE.shape)
    assert caught.value.code in (400, 422)
