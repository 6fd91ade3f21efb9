"""Service ports that nobody has used yet: what wakes them, what does not, and what they know when they wake."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Iterator

import pytest

from tests.build import key, serving_of
from tests.dataplane.pool_rig import SPEC, running
from tests.dataplane.rig import KEY, answering, endpoint, serving, until
from userproxy.core.plan import Serving
from userproxy.dataplane.reactor import Reactor
from userproxy.dataplane.sleeping import SleepingPorts, may_sleep
from userproxy.dataplane.wire import ServingHead, decode_head, serve
from userproxy.model import ListenerSpec, PortKey

WEB, DB = key("web"), key("db")


def encoded(one: Serving) -> bytes:
    [raw] = serve([one]).servings
    return bytes(raw)


class Rig:
    def __init__(self) -> None:
        self.reactor = Reactor()
        self.woken: list[PortKey] = []
        self.failures = 0
        self.taken: list[tuple[bytes, list[tuple[ListenerSpec, socket.socket]]]] = []
        self.ports = SleepingPorts(self.reactor, self.wake, self.failed)
        self.sockets: list[socket.socket] = []

    def wake(self, one: PortKey) -> None:
        self.woken.append(one)
        self.taken.append(self.ports.take(one))

    def failed(self) -> None:
        self.failures += 1

    def listen(self, one: PortKey) -> ListenerSpec:
        sock = socket.create_server(("127.0.0.1", 0))
        self.sockets.append(sock)
        spec = ListenerSpec(one, *sock.getsockname(), captured_only=False)
        self.ports.listen(spec, sock)
        return spec

    def knock(self, spec: ListenerSpec) -> None:
        self.sockets.append(socket.create_connection((spec.address, spec.port)))
        self.reactor.run_batch(1.0)


@pytest.fixture
def rig() -> Iterator[Rig]:
    made = Rig()
    yield made
    for sock in made.sockets:
        sock.close()
    made.reactor.close()


def test_the_first_client_wakes_a_port_and_no_other(rig: Rig) -> None:
    rig.ports.put(WEB, b"web")
    rig.ports.put(DB, b"db")
    first, second = rig.listen(WEB), rig.listen(WEB)
    rig.listen(DB)
    rig.reactor.run_batch()
    assert rig.woken == []
    rig.knock(second)
    assert rig.woken == [WEB]
    [(kept, listeners)] = rig.taken
    assert kept == b"web"
    assert [spec for spec, _ in listeners] == [first, second]
    assert WEB not in rig.ports
    assert DB in rig.ports
    # They are watched as before, for whoever takes them.
    for _, sock in listeners:
        rig.reactor.epoll.unregister(sock.fileno())


def test_what_was_told_last_counts(rig: Rig) -> None:
    rig.ports.put(WEB, b"old")
    spec = rig.listen(WEB)
    rig.ports.put(WEB, b"new")
    rig.knock(spec)
    assert [kept for kept, _ in rig.taken] == [b"new"]


def test_a_listener_that_was_let_go_wakes_nobody(rig: Rig) -> None:
    rig.ports.put(WEB, b"web")
    spec = rig.listen(WEB)
    sock = rig.ports.unlisten(spec)
    assert sock is rig.sockets[0]
    assert rig.ports.unlisten(spec) is None
    assert rig.ports.unlisten(ListenerSpec(DB, "127.0.0.1", 1, captured_only=False)) is None
    rig.sockets.append(socket.create_connection((spec.address, spec.port)))
    rig.reactor.run_batch()
    assert rig.woken == []
    rig.ports.forget([WEB, DB])
    assert len(rig.ports) == 0


def test_a_port_that_cannot_be_woken_is_no_secret(rig: Rig, caplog: pytest.LogCaptureFixture) -> None:
    rig.ports.put(WEB, b"web")
    spec = rig.listen(WEB)
    rig.ports.forget([WEB])
    rig.knock(spec)
    assert rig.failures == 1
    assert "default/web" in caplog.text


@pytest.mark.parametrize(
    ("one", "sleeps"),
    [
        (serving_of(WEB, [("10.0.0.1", 80)]), True),
        (serving_of(WEB), True),
        (serving_of(WEB, [("10.0.0.1", 80)], max_connections=5, eject_failures=3), True),
        (serving_of(WEB, [("10.0.0.1", 80)], affinity_seconds=60), False),
        (serving_of(WEB, [("10.0.0.1", 80)], drain_seconds=0.0), False),
        (serving_of(key("dns", protocol="UDP"), [("10.0.0.1", 53)]), False),
    ],
)
def test_who_may_sleep(one: Serving, sleeps: bool) -> None:
    head = decode_head(encoded(one))
    assert (head.key, head.options) == (one.key, one.options)
    assert may_sleep(head) is sleeps


def test_a_head_is_the_beginning_of_a_serving() -> None:
    fields = ServingHead.__struct_fields__
    assert fields == Serving.__struct_fields__[: len(fields)]


async def test_endpoints_that_changed_before_the_first_client_are_those_it_reaches() -> None:
    async with endpoint(answering(b"old")) as old, endpoint(answering(b"new")) as new, running(old) as proxy:
        await proxy.pool.open([], [serving([new])])
        await proxy.pool.close([], [])
        assert [await proxy.ask() for _ in range(4)] == [b"new"] * 4


async def test_a_service_that_goes_and_comes_again_unused() -> None:
    async with endpoint(answering(b"again")) as address, running(address) as proxy:
        await proxy.pool.close([SPEC], [KEY])
        with pytest.raises(ConnectionRefusedError):
            await proxy.connect()
        opened = await proxy.pool.open([SPEC], [serving([address])])
        await proxy.pool.close([], [])
        proxy.address = opened.addresses[SPEC]
        assert await proxy.ask() == b"again"


async def test_a_service_that_lost_its_endpoints_unused_carries_when_they_are_back() -> None:
    async with endpoint(answering(b"back")) as address, running(address) as proxy:
        await proxy.pool.open([], [serving([])])
        await proxy.pool.close([], [])
        async with asyncio.TaskGroup() as group:
            asking = group.create_task(proxy.ask(), name="client")
            await asyncio.sleep(0.1)
            assert not asking.done()
            await proxy.pool.open([], [serving([address])])
            assert await asyncio.wait_for(asking, 10) == b"back"


async def test_turns_of_a_port_that_sleeps_can_be_looked_at() -> None:
    endpoints = [("127.0.0.1", 1), ("127.0.0.1", 2)]
    async with running(*endpoints) as proxy:
        found = await proxy.pool.inspect(KEY, 5)
        assert [sorted(one.cluster) for one in found] == [endpoints, endpoints]


async def test_affinity_that_comes_with_an_edit_wakes_a_port() -> None:
    async with endpoint(answering(b"a")) as one, endpoint(answering(b"b")) as two, running(one, two) as proxy:
        await proxy.pool.open([], [serving([one, two], affinity_seconds=60)])
        await proxy.pool.close([], [])
        first = await proxy.ask()
        await until(lambda: proxy.pool.affinity.held == 1)
        assert {await proxy.ask() for _ in range(8)} == {first}
