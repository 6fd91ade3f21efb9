"""Records of real connections: what each says of its end, in this process and out of worker processes."""

from __future__ import annotations

import asyncio
import contextlib
import socket
from collections.abc import Iterator, Sequence

import pytest

from tests.dataplane.rig import (
    KEY,
    Rig,
    answering,
    closed_port,
    connect,
    echo,
    endpoint,
    receive,
    reset,
    rig,
    send,
    serving,
    until,
)
from tests.dataplane.udp_rig import UdpEndpoint, answer_to, client, udp_rig
from userproxy.core.flows import Flow, Outcome
from userproxy.core.networks import DROP_ALL
from userproxy.core.policy import Verdict
from userproxy.dataplane import open_connections
from userproxy.dataplane.flow_recorder import CLIENT_GONE, NO_ANSWER
from userproxy.dataplane.plane import PlaneSettings
from userproxy.dataplane.pool import WorkerPool
from userproxy.dataplane.sockets import filter_packets
from userproxy.dataplane.udp_sockets import UdpSettings
from userproxy.model import Address, ListenerSpec


class Follower:
    """Takes what a data plane delivers."""

    def __init__(self) -> None:
        self.flows: list[Flow] = []
        self.lost = 0

    def __call__(self, flows: Sequence[Flow], lost: int) -> None:
        self.flows.extend(flows)
        self.lost += lost


async def ask(address: Address, data: bytes = b"hello") -> bytes:
    with await connect(address) as client:
        await send(client, data)
        client.shutdown(socket.SHUT_WR)
        return await receive(client)


async def recorded(proxy: Rig, count: int = 1) -> list[Flow]:
    """Return what was recorded, once the connections are over."""
    await until(lambda: not proxy.plane.connections)
    follower = Follower()
    await proxy.plane.follow(follower)
    assert len(follower.flows) == count
    return follower.flows


async def test_a_connection_that_ended_in_order() -> None:
    async with endpoint(answering(b"an answer")) as address, rig(address, flow_records=10) as proxy:
        await ask(proxy.address)
        [flow] = await recorded(proxy)
    assert (flow.key, flow.outcome, flow.reason) == (KEY, Outcome.CLOSED, "")
    assert (flow.endpoint, flow.failed, flow.weight) == (address, (), 1)
    assert flow.client[0] == "127.0.0.1"
    assert (flow.received, flow.sent) == (5, 9)
    assert flow.opened <= flow.dialled <= flow.at


async def test_a_connection_that_reached_another_endpoint() -> None:
    bad = closed_port()
    async with endpoint(answering(b"ok")) as good, rig(bad, good, flow_records=10) as proxy:
        await ask(proxy.address)
        [retried] = await recorded(proxy)
    assert (retried.outcome, retried.endpoint) == (Outcome.CLOSED, good)
    assert (retried.failed, retried.reason) == ((bad,), "connection refused")


async def test_a_connection_that_no_endpoint_took() -> None:
    bad = closed_port()
    async with rig(bad, flow_records=10) as proxy:
        with contextlib.suppress(ConnectionResetError):
            await ask(proxy.address)
        [flow] = await recorded(proxy)
    assert (flow.outcome, flow.endpoint, flow.reason) == (Outcome.REFUSED, bad, "connection refused")
    assert bad in flow.failed


async def test_without_any_endpoint() -> None:
    async with rig(verdict=Verdict.CARRY, flow_records=10) as proxy:
        with contextlib.suppress(ConnectionResetError):
            await ask(proxy.address)
        [flow] = await recorded(proxy)
    assert (flow.outcome, flow.endpoint, flow.reason) == (Outcome.REFUSED, None, "no usable endpoint")


@pytest.mark.parametrize("side", ["client", "endpoint"])
async def test_a_reset_names_its_side(side: str) -> None:
    async def handle(sock: socket.socket) -> None:
        await asyncio.get_running_loop().sock_recv(sock, 100)
        if side == "endpoint":
            reset(sock)
        else:
            await receive(sock)

    async with endpoint(handle) as address, rig(address, flow_records=10) as proxy:
        client = await proxy.connect()
        await send(client, b"hello")
        await until(lambda: proxy.counters.bytes_received == 5)
        if side == "client":
            reset(client)
        [flow] = await recorded(proxy)
        client.close()
    assert (flow.outcome, flow.reason, flow.received) == (Outcome.RESET, f"reset by the {side}", 5)


@pytest.fixture
def silent_address() -> Iterator[Address]:
    """An address that answers no SYN at all."""
    with socket.create_server(("127.0.0.1", 0)) as sock:
        filter_packets(sock, DROP_ALL)
        yield sock.getsockname()


async def test_a_client_that_does_not_wait(silent_address: Address) -> None:
    async with rig(silent_address, flow_records=10) as proxy:
        reset(await proxy.connect())
        [flow] = await recorded(proxy)
    assert (flow.outcome, flow.reason) == (Outcome.RESET, CLIENT_GONE)


async def test_long_connections_are_shown_open_to_whoever_follows(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(open_connections, "SETTLED", 0.05)
    monkeypatch.setattr(open_connections, "LOOK_SECONDS", 0.05)
    async with endpoint(echo) as address, rig(address, flow_records=10) as proxy:
        with await proxy.connect() as unseen:
            await send(unseen, b"before")
            await until(lambda: proxy.counters.bytes_sent == 6)
            await asyncio.sleep(0.2)
            follower = Follower()
            await proxy.plane.follow(follower)
            with await proxy.connect() as client:
                await send(client, b"hello")
                async with asyncio.TaskGroup() as group:
                    running = group.create_task(proxy.plane.run(), name="plane")
                    await until(lambda: bool(follower.flows))
                    running.cancel()
                [flow] = follower.flows
                assert (flow.outcome, flow.client) == (Outcome.OPENED, client.getsockname())
                assert (flow.received, flow.endpoint) == (5, address)


async def test_a_connection_that_is_long_before_it_reaches_an_endpoint_is_shown_once(
    monkeypatch: pytest.MonkeyPatch, silent_address: Address
) -> None:
    monkeypatch.setattr(open_connections, "SETTLED", 0.02)
    monkeypatch.setattr(open_connections, "LOOK_SECONDS", 0.02)
    async with endpoint(echo) as address, rig(silent_address, address, flow_records=10) as proxy:
        follower = Follower()
        await proxy.plane.follow(follower)
        with await proxy.connect() as client:
            await send(client, b"hello")
            await until(lambda: proxy.counters.bytes_sent == 5)
            assert proxy.counters.dial_timeout == 1
            await asyncio.sleep(0.2)
            await proxy.plane.follow(follower)
            [flow] = follower.flows
    assert (flow.outcome, flow.endpoint, flow.failed) == (Outcome.OPENED, address, (silent_address,))


async def test_nothing_is_kept_when_nothing_shall_be() -> None:
    async with endpoint(echo) as address, rig(address) as proxy:
        await ask(proxy.address)
        await recorded(proxy, 0)


async def test_what_comes_too_fast_is_counted_only_while_somebody_follows() -> None:
    async with endpoint(echo) as address, rig(address, flow_records=2) as proxy:
        follower = Follower()
        for _ in range(2):
            for _ in range(5):
                await ask(proxy.address)
            await until(lambda: not proxy.plane.connections)
            await proxy.plane.follow(follower)
    assert (len(follower.flows), follower.lost) == (4, 3)


async def test_workers_hand_over_what_was_and_what_comes() -> None:
    pool = WorkerPool(PlaneSettings(flow_records=100), 2)
    spec = ListenerSpec(KEY, "127.0.0.1", 0, captured_only=False)
    await pool.start()
    try:
        async with endpoint(echo) as address:
            opened = await pool.open([spec], [serving([address])])
            follower = Follower()
            for _ in range(3):
                await ask(opened.addresses[spec])
            while len(follower.flows) < 3:
                await pool.follow(follower)
            await ask(opened.addresses[spec])
            await until(lambda: len(follower.flows) == 4)
            await pool.follow(None)
            await ask(opened.addresses[spec])
            assert len(follower.flows) == 4
            later = Follower()
            while not later.flows:
                await pool.follow(later)
    finally:
        pool.stop()
    assert {flow.endpoint for flow in follower.flows + later.flows} == {address}
    assert (follower.lost, later.lost) == (0, 0)


async def test_flows_of_datagrams_are_recorded_when_they_end() -> None:
    dead, good, mute = UdpEndpoint(b"dead"), UdpEndpoint(b"good "), UdpEndpoint(b"")
    mute.answers = False
    follower = Follower()
    async with udp_rig(dead, good, flow_records=10, udp=UdpSettings(timeout=0.2)) as proxy:
        dead.close()
        with client(proxy.address) as one, client(proxy.address) as other:
            assert await answer_to(one, b"question") == b"good question"
            await until(lambda: proxy.counters.active == 0)
            await proxy.serve(mute)
            other.send(b"question")
            await until(lambda: bool(mute.received))
            await until(lambda: proxy.counters.active == 0)
        await proxy.plane.follow(follower)
        addresses = (dead.address, good.address, mute.address)
    mute.close()
    answered, unheard = follower.flows
    assert (answered.outcome, answered.endpoint, answered.failed) == (
        Outcome.CLOSED,
        addresses[1],
        addresses[:1],
    )
    assert (answered.received, answered.sent, answered.reason) == (8, 13, "")
    assert (unheard.outcome, unheard.endpoint, unheard.reason) == (Outcome.CLOSED, addresses[2], NO_ANSWER)
