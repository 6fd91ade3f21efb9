"""A look into the data plane: turns and open connections, in this process and in workers."""

from __future__ import annotations

from contextlib import AsyncExitStack

from tests.dataplane.rig import KEY, echo, endpoint, rig, send, until
from tests.dataplane.test_pool import running
from tests.dataplane.udp_rig import UdpEndpoint, answer_to, client, udp_rig
from userproxy.dataplane.inspection import MOST


async def test_the_local_plane_shows_turns_and_connections() -> None:
    async with AsyncExitStack() as stack:
        addresses = [await stack.enter_async_context(endpoint(echo)) for _ in range(2)]
        proxy = await stack.enter_async_context(rig(*addresses))
        clients = [stack.enter_context(await proxy.connect()) for _ in range(3)]
        for client in clients:
            await send(client, b"hello")
        await until(lambda: proxy.counters.bytes_sent == 15)
        (found,) = await proxy.plane.inspect(KEY, 2)
        assert (found.worker, found.open, found.local) == (0, 3, ())
        assert sorted(found.cluster) == sorted(addresses)
        assert [one.client for one in found.connections] == [
            one.getsockname() for one in (clients[2], clients[1])
        ]
        newest = found.connections[0]
        assert (newest.key, newest.carried, newest.received, newest.sent) == (KEY, True, 5, 5)
        assert newest.endpoint == addresses[0]
        # The next pick is the one that the ring shows first.
        await send(stack.enter_context(await proxy.connect()), b"again")
        await until(lambda: proxy.counters.bytes_sent == 20)
        (after,) = await proxy.plane.inspect(None, MOST + 1)
        assert after.connections[0].endpoint == found.cluster[0]
        assert after.cluster == ()


async def test_workers_answer_each_for_itself_and_a_dead_one_not_at_all() -> None:
    async with endpoint(echo) as address, running(address) as proxy:
        with await proxy.connect() as client:
            await send(client, b"x")
            await until(lambda: proxy.pool.connections == 1)
            found = await proxy.pool.inspect(KEY, 10)
            assert [one.worker for one in found] == [0, 1]
            assert sum(one.open for one in found) == 1
            assert [one.cluster for one in found] == [(address,), (address,)]
            (open_one,) = [connection for one in found for connection in one.connections]
            assert open_one.client == client.getsockname()
        proxy.pool.stop()
        assert await proxy.pool.inspect(KEY, 10) == ()


async def test_udp_flows_are_listed_too() -> None:
    endpoint = UdpEndpoint(b"a")
    async with udp_rig(endpoint) as proxy:
        with client(proxy.address) as sock:
            assert await answer_to(sock, b"x") == b"ax"
            (found,) = await proxy.plane.inspect(proxy.key, 10)
            (flow,) = found.connections
            assert (flow.key, flow.client, flow.endpoint) == (proxy.key, sock.getsockname(), endpoint.address)
            assert (flow.carried, found.open) == (True, 1)
