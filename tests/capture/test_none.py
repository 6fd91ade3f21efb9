"""No capture: listeners on the proxy address, which is added when no interface has it."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.netns import Namespace, namespace, needs_netns
from userproxy.capture.choose import choose
from userproxy.capture.settings import CaptureSettings
from userproxy.errors import CaptureError

pytestmark = [pytest.mark.netns, needs_netns]


@pytest.fixture
def alone() -> Iterator[Namespace]:
    with namespace() as made, made.entered():
        yield made


async def test_none_with_an_address_that_cannot_be_had(alone: Namespace) -> None:
    with pytest.raises(CaptureError, match=r"capture none is not usable: .*give a proxy address"):
        await choose(CaptureSettings("none", proxy_address4="224.0.0.1", ipv6=False))


async def test_none_adds_and_removes_the_proxy_address(alone: Namespace) -> None:
    before = alone.state()
    capture = (await choose(CaptureSettings("none"))).capture
    await capture.setup()
    assert "169.254.77.1/32" in alone.run("ip", "addr", "show", "dev", "lo")
    assert await capture.repair([]) is False
    alone.run("ip", "addr", "del", "169.254.77.1/32", "dev", "lo")
    assert await capture.repair([]) is True
    await capture.teardown()
    assert alone.state() == before
