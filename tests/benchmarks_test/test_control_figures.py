"""The figures of the control side and the objects that they are measured with."""

from __future__ import annotations

import itertools
import json

import pytest

from tests.benchmarks.control import cluster_objects, figures
from userproxy.api_objects import EndpointSlice, Service
from userproxy.kube.decode import SLICES, services_for


def test_latencies() -> None:
    found = figures.latencies("change", [0.001 * number for number in range(1, 101)])
    assert found == pytest.approx({"change_p50": 0.051, "change_p99": 0.1, "change_max": 0.1})


def test_growth_compares_the_last_third_with_the_first() -> None:
    assert figures.growth([1.0, 1.0, 1.0, 5.0, 5.0, 5.0, 3.0, 3.0, 3.0]) == 2.0
    assert figures.growth([2.0]) == 0.0


def test_the_slope_is_what_a_thousand_services_more_cost() -> None:
    assert figures.slope({100: 2.0, 1000: 2.9, 10000: 11.9}) == pytest.approx(1.0)
    assert figures.slope({100: 3.0, 10000: 3.0}) == 0.0
    assert figures.slope({100: 2.0}) is None


def test_the_table_has_a_column_for_each_size_and_the_slope() -> None:
    text = figures.table({100: {"change_p50": 0.002}, 1000: {"change_p50": 0.0029}})
    assert text.splitlines()[0] == "| Services | 100 | 1,000 | 1,000 more |"
    assert text.splitlines()[-1].endswith("| 2.00 | 2.90 | +1 |")


def test_generated_objects_are_what_userproxy_reads() -> None:
    addresses = cluster_objects.first_addresses(7, 3)
    service = services_for().decode(json.dumps(cluster_objects.service(7, 1)).encode())
    piece = SLICES.decode(json.dumps(cluster_objects.endpoint_slice(7, addresses, 2)).encode())
    assert service.warnings == piece.warnings == ()
    assert isinstance(service.value, Service)
    assert service.value.cluster_ips == (cluster_objects.cluster_ip(7),)
    assert isinstance(piece.value, EndpointSlice)
    assert piece.value.service == service.value.name
    assert [one.address for one in piece.value.endpoints] == addresses


def test_no_address_is_used_twice() -> None:
    fresh = itertools.islice(cluster_objects.fresh_addresses(10), 5000)
    used = [address for number in range(10200) for address in cluster_objects.first_addresses(number, 10)]
    used += [address for addresses in fresh for address in addresses]
    assert len(set(used)) == len(used)
