"""The descriptor limit is raised as far as it may be, and flows take their part of it."""

from __future__ import annotations

import os
import resource
import subprocess
import sys

import pytest

from tests.build import key, serving_of
from userproxy.dataplane.limits import MAX_FLOWS, ROOM, descriptor_limit, with_flow_limit
from userproxy.dataplane.plane import LocalPlane, PlaneSettings
from userproxy.dataplane.pool import WorkerPool
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


@pytest.mark.parametrize("max_connections", [0, 5])
@pytest.mark.parametrize("workers", [0, 1])
async def test_every_process_of_a_plane_may_have_as_many_as_the_hard_limit_says(
    workers: int, max_connections: int
) -> None:
    """The control process holds a descriptor for each listener, whatever --max-connections says."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (min(1000, hard), hard))
    settings = PlaneSettings(max_connections=max_connections)
    plane = WorkerPool(settings, workers) if workers else LocalPlane(settings)
    try:
        await plane.start()
        await plane.open([], [serving_of(key("web"))])
        await plane.close([], [])
        links = plane.links.values() if isinstance(plane, WorkerPool) else ()
        for pid in (os.getpid(), *(link.process.pid for link in links)):
            assert resource.prlimit(pid, resource.RLIMIT_NOFILE) == (hard, hard)
    finally:
        plane.stop()
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))


@pytest.mark.parametrize("limit", [ROOM * 2, 300])
def test_room_is_made_for_many_listeners_as_far_as_the_limit_goes(limit: int) -> None:
    """In a process of its own: the table never shrinks again."""
    code = (
        "import resource; from userproxy.dataplane.limits import make_room\n"
        "hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]\n"
        f"resource.setrlimit(resource.RLIMIT_NOFILE, (min({limit}, hard),) * 2); make_room()\n"
        "print(*[line.split()[1] for line in open('/proc/self/status') if line.startswith('FDSize')])"
    )
    size = int(
        subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True).stdout
    )
    hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    assert size >= min(limit, hard, ROOM)
    assert size < 2 * max(512, min(limit, hard, ROOM))


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
