"""Objects brought into their shapes: what vanishes, what is refused and with which words, what is named as unknown."""

from __future__ import annotations

from typing import Any

import pytest

from userproxy.standalone.conforming import WrongType, conform
from userproxy.standalone.kinds import ENDPOINT_SLICE, POD, SERVICE


def spec(**fields: Any) -> dict[str, Any]:
    item = conform({"metadata": {"name": "a"}, "spec": fields}, SERVICE.shape).item
    made: dict[str, Any] = item["spec"]
    return made


def test_the_order_is_that_of_the_wire() -> None:
    item = conform(
        {"spec": {"type": "x", "ports": []}, "metadata": {}, "apiVersion": "v1"}, SERVICE.shape
    ).item
    assert list(item) == ["kind", "apiVersion", "metadata", "spec", "status"]
    assert list(spec(type="ClusterIP", selector={"b": "1", "a": "2"}, ports=[{"port": 1}])) == [
        "ports",
        "selector",
        "type",
    ]
    assert list(spec(selector={"b": "1", "a": "2"})["selector"]) == ["a", "b"]


def test_zero_values_vanish_unless_they_mean_something() -> None:
    assert spec(clusterIP="", ports=[], publishNotReadyAddresses=False, type=None) == {}
    assert spec(allocateLoadBalancerNodePorts=False, ipFamilyPolicy="") == {
        "ipFamilyPolicy": "",
        "allocateLoadBalancerNodePorts": False,
    }
    made = conform({}, ENDPOINT_SLICE.shape)
    assert made.item == {
        "kind": "",
        "apiVersion": "",
        "metadata": {},
        "addressType": "",
        "endpoints": None,
        "ports": None,
    }
    assert conform({}, ENDPOINT_SLICE.shape, sparse=True).item == {}


def test_unknown_fields_are_dropped_and_named() -> None:
    given = {"spec": {"ports": [{"port": 1}, {"port": 2, "x": 1}], "z": 1}, "y": 2, "metadata": {"w": 3}}
    made = conform(given, SERVICE.shape)
    assert made.unknown == ["spec.ports[1].x", "spec.z", "metadata.w", "y"]
    assert made.item["spec"] == {"ports": [{"port": 1}, {"port": 2}]}


def test_open_structs_keep_what_is_not_described() -> None:
    given = {"spec": {"containers": [{"name": "a", "env": [1], "tty": None}], "volumes": []}}
    made = conform(given, POD.shape)
    assert made.unknown == []
    assert made.item["spec"] == {"containers": [{"name": "a", "env": [1]}], "volumes": []}


@pytest.mark.parametrize(
    ("fields", "path", "text"),
    [
        ({"type": 1}, "spec.type", "number into Go struct field ServiceSpec.spec.type of type string"),
        (
            {"ports": [{"port": "80"}]},
            "spec.ports[0].port",
            "string into Go struct field ServicePort.spec.ports.port of type int32",
        ),
        (
            {"ports": [{"port": 2**31}]},
            "spec.ports[0].port",
            "number 2147483648 into Go struct field ServicePort.spec.ports.port of type int32",
        ),
        (
            {"ports": {}},
            "spec.ports",
            "object into Go struct field ServiceSpec.spec.ports of type []v1.ServicePort",
        ),
        (
            {"selector": {"a": True}},
            "spec.selector.a",
            "bool into Go struct field ServiceSpec.spec.selector.a of type string",
        ),
        (
            {"ports": [{"port": True}]},
            "spec.ports[0].port",
            "bool into Go struct field ServicePort.spec.ports.port of type int32",
        ),
        (
            {"externalIPs": ["1.2.3.4", None]},
            "spec.externalIPs[1]",
            "null into Go struct field ServiceSpec.spec.externalIPs of type string",
        ),
    ],
)
def test_wrong_types(fields: dict[str, Any], path: str, text: str) -> None:
    with pytest.raises(WrongType) as caught:
        spec(**fields)
    assert (caught.value.path, str(caught.value)) == (path, text)
