"""The monitor notices whatever may concern addresses and routes, and nothing else."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.netns import Namespace, namespace, needs_netns
from userproxy.capture.route_monitor import RouteMonitor
from userproxy.capture.rtnetlink import RtNetlink

pytestmark = [pytest.mark.netns, needs_netns]


@pytest.fixture
def alone() -> Iterator[Namespace]:
    with namespace() as made, made.entered():
        made.run("ip", "link", "add", "left", "type", "veth", "peer", "name", "right")
        made.run("ip", "link", "set", "left", "up")
        yield made


def settled() -> RouteMonitor:
    monitor = RouteMonitor()
    assert monitor.changed(), "nothing is known yet"
    monitor.settled()
    assert not monitor.changed()
    return monitor


@pytest.mark.parametrize(
    "command",
    [
        "addr add 169.254.77.1/32 dev lo",
        "addr add fd77::1/128 dev lo",
        "route add local 10.96.0.1 dev lo",
        "-6 route add local fd00::1 dev lo",
        "route add default dev left",
        "link set left down",
        "rule add pref 100 lookup 100",
        "-6 rule add pref 100 lookup 100",
    ],
)
def test_changes_are_noticed_until_settled(alone: Namespace, command: str) -> None:
    monitor = settled()
    alone.run("ip", *command.split())
    assert monitor.changed()
    assert monitor.changed(), "a look that failed is to be repeated"
    monitor.settled()
    assert not monitor.changed()


def test_more_notifications_than_its_buffer_holds(alone: Namespace) -> None:
    monitor = settled()
    with RtNetlink() as kernel:
        kernel.add_local_routes([f"10.96.0.{number}" for number in range(200)])
    assert monitor.changed()
    monitor.settled()
    assert not monitor.changed()


def test_reading_is_no_change(alone: Namespace) -> None:
    monitor = settled()
    with RtNetlink() as kernel:
        kernel.addresses()
        kernel.local_routes()
        kernel.unreachable(["10.96.0.1"])
    assert not monitor.changed()
