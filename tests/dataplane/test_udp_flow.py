"""What becomes of a flow when its endpoint is mute, leaves, refuses or dies."""

from __future__ import annotations

from tests.dataplane.rig import until
from tests.dataplane.udp_rig import UdpEndpoint, answer_to, client, is_silent, udp_rig
from userproxy.core.counters import Loss


async def test_an_endpoint_may_answer_often_or_not_at_all() -> None:
    mute = UdpEndpoint(b"")
    mute.answers = False
    async with udp_rig(mute) as proxy:
        with client(proxy.address) as one:
            one.send(b"x")
            await until(lambda: bool(mute.received))
            _, flow = mute.received[0]
            assert proxy.counters.carried == 0
            for number in range(100):
                mute.sock.sendto(b"%d" % number, flow)
            assert [await answer_to(one) for _ in range(100)] == [b"%d" % number for number in range(100)]
            assert proxy.counters.carried == 1


async def test_row_1_11_2_a_flow_moves_when_its_endpoint_leaves_but_late_answers_arrive() -> None:
    a, b = UdpEndpoint(b"a"), UdpEndpoint(b"b")
    a.answers = False
    async with udp_rig(a, b) as proxy:
        with client(proxy.address) as one:
            one.send(b"1")
            await until(lambda: bool(a.received))
            await proxy.serve(b)
            assert await answer_to(one, b"2") == b"b2"
            a.answer()
            assert await answer_to(one) == b"a1"
            assert proxy.counters.active == 2
            # It does not come back with its old endpoint.
            await proxy.serve(a, b)
            assert await answer_to(one, b"3") == b"b3"


async def test_row_1_11_3_a_flow_stays_with_an_endpoint_that_still_serves() -> None:
    """Row 1.11.3."""
    a, b = UdpEndpoint(b"a"), UdpEndpoint(b"b")
    async with udp_rig(a, b) as proxy:
        with client(proxy.address) as one, client(proxy.address) as other:
            assert await answer_to(one, b"1") == b"a1"
            await proxy.serve(b, lasting=[a])
            assert await answer_to(one, b"2") == b"a2"
            assert await answer_to(other, b"1") == b"b1"
            await proxy.serve(b)
            assert await answer_to(one, b"3") == b"b3"


async def test_a_question_that_an_endpoint_refuses_goes_to_the_next_one() -> None:
    dead, gone, good = UdpEndpoint(b"dead"), UdpEndpoint(b"gone"), UdpEndpoint(b"good")
    async with udp_rig(dead, gone, good) as proxy:
        dead.close()
        gone.close()
        with client(proxy.address) as one:
            assert await answer_to(one, b"1") == b"good1"
            assert await answer_to(one, b"2") == b"good2"
        counters = proxy.counters
        assert (counters.accepted, counters.active, counters.retries) == (1, 1, 2)
        assert sum(counters.datagrams_lost) == 0


async def test_several_questions_in_flight_when_the_endpoint_refuses() -> None:
    dead, good = UdpEndpoint(b"dead"), UdpEndpoint(b"good")
    async with udp_rig(dead, good) as proxy:
        dead.close()
        with client(proxy.address) as one:
            # Both wait in the listener together: the refusal of the first is met when the second is sent.
            one.send(b"1")
            one.send(b"2")
            assert {await answer_to(one), await answer_to(one)} == {b"good1", b"good2"}


async def test_an_endpoint_that_dies_costs_one_datagram() -> None:
    a, b = UdpEndpoint(b"a"), UdpEndpoint(b"b")
    async with udp_rig(a, b) as proxy:
        with client(proxy.address) as one:
            assert await answer_to(one, b"1") == b"a1"
            a.close()
            one.send(b"2")
            await until(lambda: proxy.counters.datagrams_lost[Loss.REFUSED] == 1)
            assert await answer_to(one, b"3") == b"b3"
            assert proxy.counters.accepted == 1


async def test_the_endpoint_after_one_that_died_may_be_dead_too() -> None:
    a, b, c = UdpEndpoint(b"a"), UdpEndpoint(b"b"), UdpEndpoint(b"c")
    async with udp_rig(a, b, c) as proxy:
        with client(proxy.address) as one:
            assert await answer_to(one, b"1") == b"a1"
            a.close()
            b.close()
            one.send(b"2")
            await until(lambda: proxy.counters.datagrams_lost[Loss.REFUSED] == 1)
            assert await answer_to(one, b"3") == b"c3"
            assert sum(proxy.counters.datagrams_lost) == 1


async def test_when_every_endpoint_refuses_the_datagram_is_lost_and_counted() -> None:
    a, b = UdpEndpoint(b"a"), UdpEndpoint(b"b")
    async with udp_rig(a, b) as proxy:
        a.close()
        b.close()
        with client(proxy.address) as one:
            one.send(b"1")
            await until(lambda: proxy.counters.datagrams_lost[Loss.REFUSED] == 1)
            assert await is_silent(one)
            assert proxy.counters.active == 0
