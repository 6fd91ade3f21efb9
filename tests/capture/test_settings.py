"""Where listeners are bound, and whether the host has IPv6."""

from __future__ import annotations

import pytest

from tests.netns import namespace, needs_netns
from userproxy.capture.settings import CaptureSettings, host_has_ipv6
from userproxy.model import Family


@pytest.mark.parametrize(
    ("settings", "addresses"),
    [
        (CaptureSettings(), ("169.254.77.1", "fd77:7573:6572::1")),
        (CaptureSettings(proxy_address4="10.1.1.1", proxy_address6="fd00::1"), ("10.1.1.1", "fd00::1")),
        (CaptureSettings(sidecar=True), ("127.0.0.1", "::1")),
    ],
)
def test_listener_addresses(settings: CaptureSettings, addresses: tuple[str, str]) -> None:
    assert tuple(settings.listener_address(family) for family in Family) == addresses


@pytest.mark.netns
@needs_netns
def test_ipv6_counts_only_when_lo_has_it() -> None:
    with namespace() as alone, alone.entered():
        assert host_has_ipv6()
        alone.run("ip", "link", "set", "lo", "down")
        assert not host_has_ipv6()
        alone.run("ip", "link", "set", "lo", "up")
        assert host_has_ipv6()
        alone.set("net/ipv6/conf/all/disable_ipv6", "1")
        assert not host_has_ipv6()
