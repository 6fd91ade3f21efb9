"""EndpointSlices: which are ours, and their ports, addresses and conditions (reference rows 1.3.1-1.3.6)."""

from __future__ import annotations

import json

import pytest

from tests.kube.objects import Object, endpoint_slice
from userproxy.api_objects import EndpointSlice, SlicePort
from userproxy.kube.decode import SLICES, Decoded
from userproxy.model import Endpoint, Family, ServiceName


def of_slice(item: Object) -> Decoded:
    return SLICES.decode(json.dumps(item).encode())


def made_slice(item: Object) -> EndpointSlice:
    value = of_slice(item).value
    assert isinstance(value, EndpointSlice)
    return value


def test_plain_slice() -> None:
    decoded = of_slice(endpoint_slice("web-abc", "web", "10.1.0.1", "10.1.0.2"))
    assert decoded.value == EndpointSlice(
        "default",
        "web-abc",
        "web",
        Family.IPV4,
        (SlicePort("", "TCP", 8080),),
        (Endpoint("10.1.0.1", 8080), Endpoint("10.1.0.2", 8080)),
    )
    assert decoded.warnings == ()


def test_null_lists() -> None:
    value = made_slice(endpoint_slice("web-abc", "web", endpoints=None, ports=None))
    assert (value.endpoints, value.ports) == ((), ())


@pytest.mark.parametrize(
    "labels",
    [
        None,
        {},
        {"kubernetes.io/service-name": ""},
        {"kubernetes.io/service-name": "web", "service.kubernetes.io/headless": ""},
    ],
)
def test_slice_that_is_not_ours(labels: Object | None) -> None:
    item = endpoint_slice("web-abc", "web", "10.1.0.1")
    item["metadata"]["labels"] = labels
    assert of_slice(item) == Decoded(ServiceName("default", "web-abc"), "", None)


def test_fqdn_slice_is_ignored_and_named() -> None:
    decoded = of_slice(endpoint_slice("web-abc", "web", "db.example.com", addressType="FQDN"))
    assert decoded.value is None
    assert decoded.warnings == (
        'EndpointSlice default/web-abc: address type "FQDN" is not supported; slice ignored',
    )


@pytest.mark.parametrize(
    ("conditions", "expected"),
    [
        (None, (True, True, False)),
        ({}, (True, True, False)),
        ({"ready": None, "serving": None, "terminating": None}, (True, True, False)),
        ({"ready": False}, (False, True, False)),
        ({"ready": False, "serving": True, "terminating": True}, (False, True, True)),
        ({"ready": True, "serving": False, "terminating": True}, (True, False, True)),
    ],
)
def test_conditions(conditions: Object | None, expected: tuple[bool, bool, bool]) -> None:
    item = endpoint_slice(
        "web-abc", "web", endpoints=[{"addresses": ["10.1.0.1"], "conditions": conditions, "nodeName": "n7"}]
    )
    [found] = made_slice(item).endpoints
    assert (found.ready, found.serving, found.terminating, found.node) == (*expected, "n7")


def test_only_the_first_address_counts() -> None:
    endpoints = [
        {"addresses": ["10.1.0.1", "10.1.0.2"]},
        {"addresses": []},
        {"addresses": None},
        {},
        {"addresses": ["bad", "10.1.0.3"]},
    ]
    decoded = of_slice(endpoint_slice("web-abc", "web", endpoints=endpoints))
    assert isinstance(decoded.value, EndpointSlice)
    assert [found.address for found in decoded.value.endpoints] == ["10.1.0.1"]
    assert len(decoded.warnings) == 1


def test_slice_ports() -> None:
    ports = [
        {"name": "a", "port": None},
        {"name": "b", "port": 0},
        {"name": "c"},
        {"name": None, "port": 80},
        {"port": 81},
        {"name": "", "port": 82},
        {"name": "d", "port": 70000},
        {"name": "e", "port": -1},
        {"name": "f", "port": 53, "protocol": "UDP"},
    ]
    decoded = of_slice(endpoint_slice("web-abc", "web", "10.1.0.1", ports=ports))
    assert isinstance(decoded.value, EndpointSlice)
    assert decoded.value.ports == (SlicePort("", "TCP", 82), SlicePort("f", "UDP", 53))
    assert [text.split(": ")[1].split(" ")[1] for text in decoded.warnings] == ["80", "81", "70000", "-1"]


def test_sloppy_address_is_skipped_and_named() -> None:
    decoded = of_slice(endpoint_slice("web-abc", "web", "172.30.0.041", "10.1.0.1"))
    assert isinstance(decoded.value, EndpointSlice)
    assert [found.address for found in decoded.value.endpoints] == ["10.1.0.1"]
    assert decoded.warnings == (
        'EndpointSlice default/web-abc: endpoint address "172.30.0.041" is not a valid IPv4 address; endpoint skipped',
    )


def test_warnings_of_one_object_are_bounded() -> None:
    decoded = of_slice(endpoint_slice("web-abc", "web", *(f"10.1.0.0{number}" for number in range(10, 99))))
    assert len(decoded.warnings) == 6
    assert decoded.warnings[-1] == "EndpointSlice default/web-abc: 84 more parts skipped"
