"""The addresses of the host's interfaces: which count, and that changes are followed."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

import pytest

from tests.netns import namespace, needs_netns
from userproxy.capture import host_addresses as module
from userproxy.capture.host_addresses import follow_host_addresses, host_addresses


@pytest.mark.netns
@needs_netns
def test_link_local_addresses_and_our_own_do_not_count() -> None:
    with namespace() as inside, inside.entered():
        for address in ("10.1.2.3/24", "169.254.1.1/32", "169.254.77.1/32", "fd00::5/64", "fe80::5/64"):
            inside.run("ip", "address", "add", address, "dev", "lo")
        assert host_addresses(without=("fd00::5",)) == ("10.1.2.3", "127.0.0.1", "::1")


@pytest.mark.netns
@needs_netns
async def test_changes_are_followed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "LOOK_SECONDS", 0.01)
    seen: list[Sequence[str]] = []
    with namespace() as inside, inside.entered():
        following = asyncio.get_running_loop().create_task(follow_host_addresses(seen.append))
        async with asyncio.timeout(10):
            while not seen:
                await asyncio.sleep(0.01)
            inside.run("ip", "address", "add", "10.1.2.3/24", "dev", "lo")
            while len(seen) < 2:
                await asyncio.sleep(0.01)
        following.cancel()
    assert set(seen[1]) - set(seen[0]) == {"10.1.2.3"}
