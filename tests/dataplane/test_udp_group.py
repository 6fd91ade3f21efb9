"""What clients of a UDP listener meet while no endpoint is usable, and how its sockets are shared out."""

from __future__ import annotations

import os
import signal
import socket
from collections.abc import Iterator

import pytest

from tests.dataplane.rig import until
from tests.dataplane.udp_rig import (
    UdpEndpoint,
    answer_to,
    client,
    is_silent,
    udp_rig,
)
from tests.netns import namespace, needs_netns
from userproxy.core.policy import Route, Verdict
from userproxy.dataplane.pool import WorkerPool
from userproxy.dataplane.udp_group import DatagramGroup
from userproxy.model import Family, Scope

CARRY, DROP, REJECT = (
    Route(Scope.INTERNAL, verdict) for verdict in (Verdict.CARRY, Verdict.DROP, Verdict.REJECT)
)
ADDRESSES = {
    Family.IPV4: f"127.67.{os.getpid() >> 8 & 255}.{os.getpid() & 255}",
    Family.IPV6: "::1",
}
CLIENTS = 64


def group_on(family: Family, count: int, route: Route) -> DatagramGroup:
    """A group on a port that nobody has."""
    for port in range(24000, 32000):
        try:
            return DatagramGroup(ADDRESSES[family], port, count, route)
        except OSError:
            continue
    raise AssertionError("no port is free")


def met(group: DatagramGroup) -> tuple[list[int], int]:
    """Send from many clients: how many datagrams each socket of the group got, and how many clients were refused."""
    clients = [client(group.address) for _ in range(CLIENTS)]
    for one in clients:
        one.send(b"x")
    got = [len(list(received(sock))) for sock in group.sockets]
    refused = 0
    for one in clients:
        with one:
            refused += one.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR) != 0
    return got, refused


def received(sock: socket.socket) -> Iterator[bytes]:
    """What waits in a socket."""
    try:
        while True:
            yield sock.recv(10)
    except BlockingIOError:
        return


@pytest.mark.parametrize("count", [1, 3])
@pytest.mark.parametrize("family", Family)
def test_every_change_of_what_clients_meet(family: Family, count: int) -> None:
    group = group_on(family, count, REJECT)
    try:
        for route in (REJECT, DROP, CARRY, REJECT, CARRY, DROP, REJECT, DROP, DROP, CARRY, CARRY):
            group.show(route)
            assert group.settle()
            got, refused = met(group)
            if route is REJECT:
                assert (got, refused) == ([], CLIENTS)
            elif route is DROP:
                assert (got, refused) == ([0] * count, 0)
            else:
                # The kernel's hash over addresses and ports: each socket has its share.
                assert sum(got) == CLIENTS
                assert all(got)
                assert refused == 0
    finally:
        group.close()


@pytest.mark.parametrize("family", Family)
def test_only_sources_that_are_allowed_are_heard(family: Family) -> None:
    own = "::1/128" if family is Family.IPV6 else "127.0.0.0/8"
    group = group_on(family, 2, Route(Scope.LOAD_BALANCER, Verdict.CARRY, allowed=((own,),)))
    try:
        assert sum(met(group)[0]) == CLIENTS
        group.show(Route(Scope.LOAD_BALANCER, Verdict.CARRY, allowed=(("192.0.2.0/24", "2001:db8::/32"),)))
        assert met(group) == ([0, 0], 0)
        group.show(CARRY)
        assert sum(met(group)[0]) == CLIENTS
    finally:
        group.close()


@pytest.mark.netns
@needs_netns
@pytest.mark.parametrize("address", ["10.96.0.10", "fd00:96::a"])
def test_refusing_waits_until_the_address_is_local(address: str) -> None:
    with namespace() as node, node.entered():
        group = DatagramGroup(address, 53, 2, REJECT)
        try:
            assert not group.settle()
            node.run("ip", "addr", "add", address, "dev", "lo")
            assert group.settle()
            assert met(group) == ([], CLIENTS)
        finally:
            group.close()


@pytest.mark.parametrize("verdict", [Verdict.DROP, Verdict.REJECT])
async def test_a_client_that_waits_is_served_when_an_endpoint_comes(verdict: Verdict) -> None:
    echo = UdpEndpoint(b"")
    async with udp_rig(verdict=verdict) as proxy:
        with client(proxy.address) as one:
            if verdict is Verdict.REJECT:
                with pytest.raises(ConnectionRefusedError):
                    await answer_to(one, b"1")
            else:
                one.send(b"1")
                assert await is_silent(one)
            await proxy.serve(echo)
            assert await answer_to(one, b"2") == b"2"
            await proxy.serve(verdict=verdict)
            if verdict is Verdict.REJECT:
                with pytest.raises(ConnectionRefusedError):
                    await answer_to(one, b"3")
            else:
                one.send(b"3")
                assert await is_silent(one)
            await proxy.serve(echo)
            assert await answer_to(one, b"4") == b"4"
    echo.close()


async def test_workers_share_the_clients_and_a_new_one_gets_the_socket_of_the_old() -> None:
    echo = UdpEndpoint(b"")
    async with udp_rig(echo, workers=2) as proxy:
        clients = [client(proxy.address) for _ in range(20)]
        for one in clients:
            assert await answer_to(one, b"x") == b"x"
        pool = proxy.plane
        assert isinstance(pool, WorkerPool)
        shares = [link.counters for link in pool.links.values()]
        await until(lambda: sum(share[proxy.key].accepted for share in shares if share) == 20)
        assert all(share[proxy.key].accepted for share in shares)
        victim = pool.links[0].process.pid
        os.kill(victim, signal.SIGKILL)
        await until(lambda: pool.replaced == 1 and pool.links[0].process.pid != victim)
        for one in clients:
            with one:
                assert await answer_to(one, b"y") == b"y"
        # What the dead worker had counted is kept; flows of its clients began anew.
        await until(lambda: proxy.counters.datagrams_sent == 40)
        assert proxy.counters.active == 20
        # Refused and carried again: the workers get new sockets.
        await proxy.serve(verdict=Verdict.REJECT)
        with client(proxy.address) as one:
            with pytest.raises(ConnectionRefusedError):
                await answer_to(one, b"z")
            await proxy.serve(echo)
            assert await answer_to(one, b"z") == b"z"
    echo.close()
