"""The descriptor limit is raised as far as it may be, and flows take their part of it."""

from __future__ import annotations

import resource

import pytest

from userproxy.dataplane.limits import MAX_FLOWS, descriptor_limit, with_flow_limit
from userproxy.dataplane.ports import local_port_range
from userproxy.dataplane.udp_sockets import UdpSettings


def test_the_descriptor_limit_is_raised() -> None:
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (min(1000, hard), hard))
    try:
        assert descriptor_limit() == max(16, (hard - 256) // 2)
        assert resource.getrlimit(resource.RLIMIT_NOFILE) == (hard, hard)
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))


@pytest.mark.parametrize(
    ("connections", "workers", "fitting"),
    [(500_000, 1, 0.5), (500_000, 4, 0.125), (200, 1, None), (2, 64, None)],
)
def test_flows_take_half_of_the_port_numbers_and_few_descriptors(
    connections: int, workers: int, fitting: float | None
) -> None:
    low, high = local_port_range()
    limit = with_flow_limit(UdpSettings(), connections, workers).max_flows
    if fitting is None:
        assert limit == max(16, connections // 2)
    else:
        assert limit == min(MAX_FLOWS, int((high - low + 1) * fitting))
    assert with_flow_limit(UdpSettings(max_flows=7), connections, workers).max_flows == 7
