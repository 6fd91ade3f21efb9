"""Datagrams on their way: flows, endpoints that leave or refuse, sizes, counters."""

from __future__ import annotations

import asyncio
import contextlib
import os
import socket
from collections import Counter

import pytest

from tests.build import serving_of
from tests.dataplane.rig import endpoint, named, receive, serving
from tests.dataplane.udp_rig import HOSTS, UdpEndpoint, answer_to, client, udp_rig
from userproxy.dataplane.udp_sockets import UdpSettings
from userproxy.model import Balance, Family, ListenerSpec


async def test_a_client_keeps_its_endpoint_and_clients_take_turns() -> None:
    a, b = UdpEndpoint(b"a"), UdpEndpoint(b"b")
    async with udp_rig(a, b) as proxy:
        with contextlib.ExitStack() as stack:
            clients = [stack.enter_context(client(proxy.address)) for _ in range(4)]
            for question in (b"1", b"2", b"3"):
                answers = [await answer_to(one, question) for one in clients]
                assert answers == [b"a" + question, b"b" + question] * 2
        counters = proxy.counters
        assert (counters.accepted, counters.active, counters.carried) == (4, 4, 4)
        assert (counters.datagrams_received, counters.datagrams_sent) == (12, 12)
        assert (counters.bytes_received, counters.bytes_sent) == (12, 24)
        assert sum(counters.datagrams_lost) == 0


@pytest.mark.parametrize("family", Family)
@pytest.mark.parametrize("size", [0, 1, 1472, 65507])
async def test_datagrams_of_every_size_pass_whole(family: Family, size: int) -> None:
    echo = UdpEndpoint(b"", HOSTS[family])
    async with udp_rig(echo, family=family) as proxy:
        with client(proxy.address) as one:
            assert await answer_to(one, bytes(size)) == bytes(size)


async def test_the_flow_idle_for_the_longest_time_makes_room() -> None:
    echo = UdpEndpoint(b"")
    async with udp_rig(echo, udp=UdpSettings(max_flows=2)) as proxy:
        with client(proxy.address) as one, client(proxy.address) as two, client(proxy.address) as three:
            for sock in (one, two, one, three):
                assert await answer_to(sock, b"x") == b"x"
            flows = {sock.getsockname() for sock in (one, three)}
            [listener] = proxy.plane._acceptor.listeners.values()
            assert set(listener.by_client) == flows
            assert (proxy.counters.active, proxy.counters.flows_evicted) == (2, 1)
            assert await answer_to(two, b"again") == b"again"


async def test_tcp_and_udp_on_one_port_number() -> None:
    echo = UdpEndpoint(b"udp ")
    # An address that no other run of the tests has.
    place = (f"127.66.{os.getpid() >> 8 & 255}.{os.getpid() & 255}", 5353)
    async with endpoint(named(b"tcp")) as address, udp_rig(echo) as proxy:
        specs = [ListenerSpec(owner, *place, captured_only=False) for owner in (proxy.key, serving([]).key)]
        opened = await proxy.plane.open(specs, [serving([address])])
        assert opened.failures == {}
        with client(place) as one, socket.socket() as stream:
            assert await answer_to(one, b"x") == b"udp x"
            stream.setblocking(False)
            await asyncio.get_running_loop().sock_connect(stream, place)
            assert await receive(stream) == b"tcp"


@pytest.mark.parametrize("workers", [0, 1])
async def test_datagrams_are_answered_while_connections_drain(workers: int) -> None:
    echo = UdpEndpoint(b"")
    async with udp_rig(echo, workers=workers) as proxy:
        with client(proxy.address) as one:
            assert await proxy.plane.drain(1) == 0
            assert await answer_to(one, b"x") == b"x"


async def test_session_affinity_and_ejection_hold_for_flows_too() -> None:
    dead, a, b = UdpEndpoint(b"dead"), UdpEndpoint(b"a"), UdpEndpoint(b"b")
    async with udp_rig(dead, a, b) as proxy:
        addresses = [one.address for one in (dead, a, b)]
        dead.close()
        await proxy.plane.open([], [serving_of(proxy.key, addresses, affinity_seconds=60)])
        answers = set()
        for _ in range(6):
            with client(proxy.address) as one:
                answers.add(await answer_to(one, b""))
        assert len(answers) == 1
        await proxy.plane.open([], [serving_of(proxy.key, addresses, eject_failures=1)])
        for _ in range(9):
            with client(proxy.address) as one:
                await answer_to(one, b"")
        assert (proxy.counters.ejections, proxy.counters.ejected) == (1, 1)
        # Those who have fewer flows come first.
        await proxy.plane.open([], [serving_of(proxy.key, addresses[1:], balance=Balance.LEAST_CONNECTIONS)])
        flows = Counter(proxy.plane._acceptor.udp_flows.endpoints_of(proxy.plane._acceptor.ports[proxy.key]))
        fewest = min(addresses[1:], key=lambda one: flows[one])
        with client(proxy.address) as one:
            assert await answer_to(one, b"") == (b"a" if fewest == a.address else b"b")
