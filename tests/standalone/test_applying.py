"""Server-side apply without a server: what is merged, removed, owned and disputed."""

from __future__ import annotations

import json
from typing import Any

import pytest

from userproxy.standalone.applying import apply
from userproxy.standalone.fieldsets import from_fields_v1, shown, to_fields_v1
from userproxy.standalone.kinds import SERVICE
from userproxy.standalone.leaves import leaves
from userproxy.standalone.ownership import APPLY, Owner, Writer, after_update
from userproxy.standalone.statuses import Refusal

SHAPE = SERVICE.shape
NOW = "2026-01-01T00:00:00Z"


def service(*ports: dict[str, Any], **labels: str) -> dict[str, Any]:
    return {"metadata": {"name": "a", "labels": labels}, "spec": {"ports": list(ports)}}


HTTP = {"port": 80, "protocol": "TCP", "name": "http"}
HTTPS = {"port": 443, "protocol": "TCP", "name": "https"}


def by(manager: str, live: Any, wanted: Any, owners: Any = (), *, force: bool = False) -> tuple[Any, Any]:
    writer = Writer(manager, APPLY)
    return apply(live, wanted, SHAPE, tuple(owners), writer, api_version="v1", now=NOW, force=force)


def test_what_a_manager_leaves_out_is_removed() -> None:
    live, owners = by("m", service(), service(HTTP, HTTPS, a="1", b="2"))
    less, _owners = by("m", live, service(HTTP, b="2"), owners)
    assert (less["spec"]["ports"], less["metadata"]["labels"]) == ([HTTP], {"b": "2"})


def test_what_another_manager_has_too_stays() -> None:
    live, owners = by("m", service(), service(HTTP, HTTPS))
    live, owners = by("n", live, service(HTTPS), owners)
    less, owners = by("m", live, service(HTTP), owners)
    assert less["spec"]["ports"] == [HTTP, HTTPS]
    least, _owners = by("n", less, service(), owners)
    assert least["spec"]["ports"] == [HTTP]


def test_an_item_goes_with_all_that_an_update_left_in_it() -> None:
    """kubectl turns the fields of its updates into those of an apply, maps and lists themselves among them."""
    live = service(HTTP, HTTPS)
    (owner,) = after_update((), None, leaves(live, SHAPE, status=False), Writer("m"), "v1", NOW)
    less, _owners = by("m", live, service(HTTP), [Owner(Writer("m", APPLY), "v1", NOW, owner.paths)])
    assert less["spec"]["ports"] == [HTTP]


def test_another_value_is_a_conflict_unless_forced() -> None:
    live, owners = by("m", service(), service(HTTP))
    other = {**HTTP, "name": "web"}
    with pytest.raises(Refusal, match=r'conflict with "m": \.spec\.ports\[port=80,protocol="TCP"\]\.name'):
        by("n", live, service(other), owners)
    forced, owners = by("n", live, service(other), owners, force=True)
    assert forced["spec"]["ports"] == [other]
    with pytest.raises(Refusal, match='conflict with "n"'):
        by("m", forced, service(HTTP), owners)


def test_a_port_without_a_protocol_is_a_tcp_port() -> None:
    live, owners = by("m", service(HTTP), service({"port": 80, "targetPort": 8080}))
    assert live["spec"]["ports"] == [{**HTTP, "targetPort": 8080}]
    with pytest.raises(Refusal):
        by("n", live, service({"port": 80, "targetPort": 9}), owners)


def test_fields_are_written_and_read_back() -> None:
    found = set(leaves({**service(HTTP, HTTPS, a="1"), "status": {"loadBalancer": {}}}, SHAPE, status=False))
    written = to_fields_v1(frozenset(found))
    assert list(written["f:spec"]["f:ports"]) == [
        ".",
        'k:{"port":80,"protocol":"TCP"}',
        'k:{"port":443,"protocol":"TCP"}',
    ]
    assert from_fields_v1(written) == found
    assert (
        shown(("f:spec", "f:ports", 'k:{"port":80,"protocol":"TCP"}', "."))
        == '.spec.ports[port=80,protocol="TCP"]'
    )


@pytest.mark.parametrize("hostile", [None, [], "x", {"f:a": 1}, {"k:nonsense": {}}, {"x": {}}])
def test_hostile_fields_are_no_fields(hostile: Any) -> None:
    assert from_fields_v1(hostile) == set()


def test_fields_of_owned_objects_are_those_of_any_object() -> None:
    """What is remembered for all owners alike comes out with the right uid, in the same order as made anew."""
    for uid in ("a", "b"):
        owned = ("f:metadata", "f:ownerReferences", f'k:{{"uid":"{uid}"}}')
        paths = [owned, (*owned[:2], "."), ("f:metadata", "f:labels", "f:x"), ("f:ports",)]
        written = to_fields_v1(frozenset(paths))
        assert json.dumps(written) == json.dumps(
            {
                "f:metadata": {
                    "f:labels": {"f:x": {}},
                    "f:ownerReferences": {".": {}, f'k:{{"uid":"{uid}"}}': {}},
                },
                "f:ports": {},
            }
        )
        assert from_fields_v1(written) == frozenset(paths)
