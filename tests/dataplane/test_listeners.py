"""What clients meet while no endpoint is usable: silence, or refusal; and who gets the port meanwhile."""

from __future__ import annotations

import asyncio
import socket
import time

import pytest

from tests.build import key
from tests.dataplane.rig import client_socket, closed_port, endpoint, named, receive, rig, serving
from userproxy.core.policy import Verdict
from userproxy.dataplane import listeners as module
from userproxy.dataplane.listeners import Listeners
from userproxy.dataplane.sockets import bound_socket
from userproxy.errors import ListenError
from userproxy.model import ListenerSpec


async def test_drop_is_silence_until_an_endpoint_comes() -> None:
    async with endpoint(named(b"up")) as good, rig() as proxy:
        loop = asyncio.get_running_loop()
        with client_socket() as client:
            async with asyncio.timeout(10), asyncio.TaskGroup() as group:
                connecting = group.create_task(loop.sock_connect(client, proxy.address), name="client")
                done, _ = await asyncio.wait([connecting], timeout=0.6)
                assert not done, "a connection was answered while no endpoint is usable"
                await proxy.serve([good])
            assert await receive(client) == b"up"
        assert proxy.counters.accepted == 1


async def test_reject_refuses_at_once() -> None:
    async with endpoint(named(b"up")) as good, rig(verdict=Verdict.REJECT) as proxy:
        started = time.monotonic()
        with pytest.raises(ConnectionRefusedError):
            await proxy.connect()
        assert time.monotonic() - started < 0.9  # a second SYN would go out after 1 s
        await proxy.serve([good])
        with await proxy.connect() as client:
            assert await receive(client) == b"up"


async def test_every_change_of_verdict() -> None:
    async with endpoint(named(b"up")) as good, rig(good) as proxy:
        order = [Verdict.DROP, Verdict.REJECT, Verdict.CARRY, Verdict.REJECT, Verdict.DROP, Verdict.CARRY]
        for verdict in order:
            await proxy.serve([good] if verdict is Verdict.CARRY else [], verdict)
            loop = asyncio.get_running_loop()
            with client_socket() as client:
                try:
                    async with asyncio.timeout(0.3 if verdict is Verdict.DROP else 10):
                        await loop.sock_connect(client, proxy.address)
                    met = Verdict.CARRY
                    assert await receive(client) == b"up"
                except TimeoutError:
                    met = Verdict.DROP
                except ConnectionRefusedError:
                    met = Verdict.REJECT
            assert met is verdict


async def test_a_rejecting_listener_keeps_its_port() -> None:
    async with rig(verdict=Verdict.REJECT) as proxy:
        with socket.socket() as other:
            with pytest.raises(OSError, match="Address already in use"):
                other.bind(proxy.address)


def test_errors_name_the_service_port_and_say_what_to_do() -> None:
    listeners = Listeners()
    listeners.admit([serving([("127.0.0.1", 1)])])
    with socket.create_server(("127.0.0.1", 0)) as taken:
        spec = ListenerSpec(key("web"), *taken.getsockname(), captured_only=False)
        with pytest.raises(
            ListenError, match=r"default/web: cannot listen on 127\.0\.0\.1:\d+: .*in use.*ss -ltnp"
        ):
            listeners.open(spec)
    assert listeners.sockets == {}


def test_a_port_that_another_process_listens_on_first_is_passed_over(monkeypatch: pytest.MonkeyPatch) -> None:
    """Two may bind one port as long as neither listens (SO_REUSEADDR); the second listen() is what fails."""
    rivals: list[socket.socket] = []

    def overtaken(address: str, port: int) -> socket.socket:
        made = bound_socket(address, port)
        if not rivals:
            rivals.append(bound_socket(address, port))
            rivals[0].listen()
        return made

    monkeypatch.setattr(module, "bound_socket", overtaken)
    listeners = Listeners()
    listeners.admit([serving([("127.0.0.1", 1)])])
    try:
        _, port = listeners.open(ListenerSpec(key("web"), "127.0.0.1", 0, captured_only=True))
        assert port != rivals[0].getsockname()[1]
    finally:
        listeners.close_all()
        rivals[0].close()


def test_listeners_without_a_fixed_port_get_different_ones() -> None:
    listeners = Listeners()
    try:
        specs = [ListenerSpec(key(f"s{n}"), "127.0.0.1", 0, captured_only=True) for n in range(3)]
        ports = {listeners.open(spec)[1] for spec in specs}
        assert len(ports) == 3
        assert listeners.of(specs[0].key) == {specs[0]}
        listeners.close(specs[0])
        listeners.close(specs[0])
        listeners.forget([specs[0].key])
        assert listeners.of(specs[0].key) == frozenset()
    finally:
        listeners.close_all()


def test_ipv6_listener() -> None:
    listeners = Listeners()
    listeners.admit([serving([closed_port()])])
    spec = ListenerSpec(serving([]).key, "::1", 0, captured_only=False)
    try:
        address = listeners.open(spec)
        with socket.create_connection(address):
            pass
    finally:
        listeners.close_all()
