"""Accepting under limits: connections and descriptors run out, and come back."""

from __future__ import annotations

import asyncio
import os
import resource
import socket

import pytest

from tests.build import key, serving_of
from tests.dataplane.rig import client_socket, echo, endpoint, receive, rig, send, until
from userproxy.core.policy import Verdict
from userproxy.model import ListenerSpec


async def test_above_the_limit_clients_wait_in_the_queue() -> None:
    async with endpoint(echo) as address, rig(address, max_connections=2) as proxy:
        clients = [await proxy.connect() for _ in range(4)]
        try:
            for client in clients:
                await send(client, b"x")
            await until(lambda: proxy.plane.connections == 2 and proxy.plane.paused > 0)
            await asyncio.sleep(0.3)
            assert proxy.counters.accepted == 2
            clients[0].close()
            clients[1].close()
            await until(lambda: proxy.counters.accepted == 4)
            for client in clients[2:]:
                client.shutdown(socket.SHUT_WR)
                assert await receive(client) == b"x"
        finally:
            for client in clients:
                client.close()


async def test_a_service_port_has_a_limit_of_its_own() -> None:
    async with endpoint(echo) as address, rig(address) as proxy:
        limited = serving_of(proxy.spec.key, (address,), Verdict.CARRY, max_connections=2)
        await proxy.plane.open([], [limited])
        other = ListenerSpec(key("other"), "127.0.0.1", 0, captured_only=False)
        opened = await proxy.plane.open([other], [serving_of(other.key, (address,), Verdict.CARRY)])
        clients = [await proxy.connect() for _ in range(4)]
        loop = asyncio.get_running_loop()
        try:
            await until(lambda: proxy.plane.connections == 2)
            with client_socket() as unlimited:
                await loop.sock_connect(unlimited, opened.addresses[other])
                await send(unlimited, b"x")
                assert await loop.sock_recv(unlimited, 1) == b"x"
            assert proxy.counters.accepted == 2
            assert proxy.counters.paused > 0
            clients[0].close()
            await until(lambda: proxy.counters.accepted == 3)
            await proxy.plane.open([], [serving_of(proxy.spec.key, (address,), Verdict.CARRY)])
            await until(lambda: proxy.counters.accepted == 4)
        finally:
            for client in clients:
                client.close()


async def test_when_descriptors_run_out_accepting_rests_and_resumes() -> None:
    async with endpoint(echo) as address, rig(address) as proxy:
        with await proxy.connect() as first:
            await send(first, b"1")
            assert await asyncio.get_running_loop().sock_recv(first, 1) == b"1"
            waiting = client_socket()
            soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
            in_use = max(int(fd) for fd in os.listdir("/proc/self/fd")) + 1
            resource.setrlimit(resource.RLIMIT_NOFILE, (in_use, hard))
            fillers: list[socket.socket] = []
            try:
                with pytest.raises(OSError, match="Too many open files"):
                    while True:
                        fillers.append(socket.socket())
                await asyncio.get_running_loop().sock_connect(waiting, proxy.address)
                await until(lambda: proxy.plane.paused > 0)
                await asyncio.sleep(0.4)
                assert proxy.plane.paused < 20, "it must not spin"
                await send(first, b"2")
                assert await asyncio.get_running_loop().sock_recv(first, 1) == b"2"
            finally:
                for filler in fillers:
                    filler.close()
                resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
            with waiting:
                await send(waiting, b"late")
                assert await asyncio.get_running_loop().sock_recv(waiting, 10) == b"late"
