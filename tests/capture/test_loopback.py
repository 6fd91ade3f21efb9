"""The loopback capture, which has nothing to install."""

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


async def test_loopback_that_is_down() -> None:
    with namespace() as alone, alone.entered():
        alone.run("ip", "link", "set", "lo", "down")
        with pytest.raises(CaptureError, match=r"capture loopback is not usable: .*is lo up"):
            await choose(CaptureSettings("loopback", ipv6=False))


async def test_loopback_has_nothing_to_install(alone: Namespace) -> None:
    before = alone.state()
    capture = (await choose(CaptureSettings("loopback"))).capture
    await capture.setup()
    await capture.change([], [])
    assert await capture.repair([]) is False
    assert alone.state() == before
    await capture.teardown()
