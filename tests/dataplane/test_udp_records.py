"""What the records of UDP flows say: the first answer, the end and why, and endpoints that failed."""

from __future__ import annotations

from collections.abc import Sequence

from tests.dataplane.rig import until
from tests.dataplane.udp_rig import UdpEndpoint, UdpRig, answer_to, client, udp_rig
from userproxy.core.counters import Loss
from userproxy.core.flows import Flow, Outcome
from userproxy.dataplane.flow_recorder import NO_ANSWER
from userproxy.dataplane.plane import LocalPlane
from userproxy.dataplane.udp_sockets import UdpSettings


class Follower:
    """Takes what a data plane delivers."""

    def __init__(self) -> None:
        self.flows: list[Flow] = []

    def __call__(self, flows: Sequence[Flow], lost: int) -> None:
        self.flows.extend(flows)


async def records(proxy: UdpRig, follower: Follower, *, goes_on: bool = False) -> list[Flow]:
    """Return what was recorded since the last time."""
    assert isinstance(proxy.plane, LocalPlane)
    await proxy.plane.follow(follower)
    if not goes_on:
        await proxy.plane.follow(None)
    found, follower.flows = follower.flows, []
    return found


async def test_the_first_answer_is_seen_at_once_and_the_end_when_it_is_idle() -> None:
    echo, follower = UdpEndpoint(b"answer to "), Follower()
    async with udp_rig(echo, flow_records=10, udp=UdpSettings(timeout=1, max_flows=10)) as proxy:
        await records(proxy, follower, goes_on=True)
        with client(proxy.address) as one:
            await answer_to(one, b"q")
            await answer_to(one, b"q")
            [opened] = await records(proxy, follower, goes_on=True)
            assert (opened.outcome, opened.client, opened.endpoint) == (
                Outcome.OPENED,
                one.getsockname(),
                echo.address,
            )
            await until(lambda: proxy.counters.active == 0)
        [closed] = await records(proxy, follower)
        assert (closed.outcome, closed.received, closed.sent, closed.reason) == (Outcome.CLOSED, 2, 22, "")
        assert closed.at - closed.opened >= 1


async def test_a_flow_without_an_answer_and_one_that_made_room_say_so() -> None:
    mute, follower = UdpEndpoint(b""), Follower()
    mute.answers = False
    async with udp_rig(mute, flow_records=10, udp=UdpSettings(timeout=1, max_flows=1)) as proxy:
        with client(proxy.address) as one, client(proxy.address) as two:
            one.send(b"x")
            await until(lambda: len(mute.received) == 1)
            two.send(b"x")
            await until(lambda: len(mute.received) == 2)
            await until(lambda: proxy.counters.active == 0)
            found = await records(proxy, follower)
            assert [(flow.client, flow.reason) for flow in found] == [
                (one.getsockname(), "made room for another one (--udp-max-flows)"),
                (two.getsockname(), NO_ANSWER),
            ]


async def test_endpoints_that_failed_are_named() -> None:
    dead, good, follower = UdpEndpoint(b"dead"), UdpEndpoint(b""), Follower()
    async with udp_rig(dead, good, flow_records=10, udp=UdpSettings(max_flows=10)) as proxy:
        dead.close()
        await records(proxy, follower, goes_on=True)
        with client(proxy.address) as one:
            await answer_to(one, b"x")
            [opened] = await records(proxy, follower, goes_on=True)
            assert (opened.endpoint, opened.failed) == (good.address, (dead.address,))
            good.close()
            one.send(b"y")
            await until(lambda: proxy.counters.datagrams_lost[Loss.REFUSED] == 1)
            one.send(b"z")
            await until(lambda: proxy.counters.active == 0)
        [refused] = await records(proxy, follower)
        assert (refused.outcome, refused.reason) == (Outcome.REFUSED, "Connection refused")
        # Who failed before is asked again after an answer.
        assert refused.failed == (good.address, dead.address)
