"""The agent in this process, without privileges: start and stop order, readiness, status, a changed cluster."""

from __future__ import annotations

import asyncio
import dataclasses
import json
import logging
import socket
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import aiohttp
import pytest

from tests.dataplane.rig import closed_port, endpoint, named, receive, until
from tests.dataplane.udp_rig import UdpEndpoint, answer_to
from tests.dataplane.udp_rig import client as udp_client
from tests.kube.faulty_server import FaultyServer
from tests.kube.objects import endpoint_slice, node, service
from userproxy import agent as agent_module
from userproxy.agent import Agent, capture_settings, plan_settings
from userproxy.api_objects import Changes
from userproxy.capture.choose import choose
from userproxy.config import Config
from userproxy.core.plan import PortPlan
from userproxy.core.policy import Verdict
from userproxy.core.status import StatusView
from userproxy.errors import CaptureError, ListenError
from userproxy.kube.cluster import Cluster
from userproxy.model import Family

import msgspec  # isort: skip


def config(**values: object) -> Config:
    return Config(
        **{
            "capture": "loopback",
            "workers": "0",
            "healthz_bind_address": "127.0.0.1:0",
            "metrics_bind_address": "127.0.0.1:0",
            "drain_timeout": 1.0,
            **values,
        }
    )


async def build(settings: Config, url: str) -> Agent:
    capture, probes = await choose(capture_settings(settings))

    def connect(deliver) -> Cluster:
        return Cluster("", url, "n1", "", deliver)

    return Agent(settings, capture, probes, connect)


@asynccontextmanager
async def running(server: FaultyServer, **values: object) -> AsyncIterator[Agent]:
    made = await build(config(**values), server.url)
    await made.start()
    try:
        async with asyncio.TaskGroup() as group:
            task = group.create_task(made.run(), name="agent")
            yield made
            task.cancel()
    finally:
        await made.stop(asyncio.Event())


async def test_a_changed_setting_is_planned_for_every_service() -> None:
    async with FaultyServer() as server:
        server.put("nodes", node("n1"))
        server.put("services", service("web"))
        async with running(server) as made:
            await asyncio.wait_for(made.reconciler.ready.wait(), 10)
            assert one(made).serving.verdict is Verdict.DROP
            made.configure(config(no_endpoints="reject"))
            await until(lambda: one(made).serving.verdict is Verdict.REJECT)


async def test_a_setting_is_live_exactly_when_plans_depend_on_it() -> None:
    """What else is live is not for plans, and what cannot change is where listeners and rules are."""
    others = {"cluster_cidr": "10.0.0.0/8", "nodeport_addresses": "10.0.0.0/8", "no_endpoints": "reject"}
    fixed = {"capture", "proxy_address", "proxy_address_ipv6", "sidecar", "transparent"}
    capture, _ = await choose(capture_settings(config()))
    before = plan_settings(config(), capture)
    for field in dataclasses.fields(Config):
        value = others.get(field.name)
        if value is None and field.metadata["choices"]:
            value = next(one for one in field.metadata["choices"] if one != getattr(config(), field.name))
        elif value is None and isinstance(field.default, bool):
            value = not field.default
        elif value is None and isinstance(field.default, int):
            value = field.default + 1
        if value is None or field.name in fixed:
            continue
        depends = plan_settings(config(**{field.name: value}), capture) != before
        live = field.metadata["live"] and field.name not in ("log_level", "log_format", "keep_capture")
        assert depends == live, field.name


def one(made: Agent) -> PortPlan:
    (port,) = made.reconciler.running.ports.values()
    return port


async def get(address: tuple[str, int], path: str) -> tuple[int, str]:
    async with aiohttp.ClientSession() as session:
        async with session.get(f"http://{address[0]}:{address[1]}{path}") as response:
            return response.status, await response.text()


async def test_the_whole_way_of_a_connection_and_what_the_admin_servers_say() -> None:
    async with FaultyServer() as server, endpoint(named(b"hello")) as address:
        server.put("nodes", node("n1"))
        server.put("services", service("web"))
        server.put("endpointslices", endpoint_slice("web-1", "web", address[0], port=address[1]))
        async with running(server) as made:
            await asyncio.wait_for(made.reconciler.ready.wait(), 10)
            [view] = made.services()
            [frontend] = view.ports[0].frontends
            loop = asyncio.get_running_loop()
            import socket

            with socket.socket() as client:
                client.setblocking(False)
                await loop.sock_connect(client, (frontend.address, frontend.port))
                assert await receive(client) == b"hello"
            health, metrics = made._health_server.address, made._metrics_server.address
            assert (await get(health, "/readyz"))[0] == 200
            assert json.loads((await get(health, "/healthz"))[1])["nodeEligible"] is True
            assert (await get(metrics, "/proxyMode"))[1] == "loopback"
            assert "userproxy_connections_carried_total" in (await get(metrics, "/metrics"))[1]
            status = msgspec.json.decode((await get(metrics, "/status"))[1], type=StatusView)
            assert status.capture.name == "loopback"
            assert {watch.resource for watch in status.watches} == {"services", "endpointslices", "nodes"}
            server.put(
                "nodes",
                node("n1", taints=[{"key": "ToBeDeletedByClusterAutoscaler", "effect": "NoSchedule"}]),
            )
            await until(lambda: made.reconciler.table.node.leaving)
            assert (await get(health, "/healthz"))[0] == 503
            assert (await get(health, "/livez"))[0] == 200
            server.put("endpointslices", endpoint_slice("web-1", "web"))
            await until(lambda: next(made.services()).ports[0].verdict is Verdict.DROP)
            assert 'userproxy_no_endpoints_listeners{action="drop"' in (await get(metrics, "/metrics"))[1]


async def test_not_ready_before_the_lists_are_complete_and_when_stopping() -> None:
    made = await build(config(), f"http://127.0.0.1:{closed_port()[1]}")
    await made.start()
    try:
        code, text = await get(made._health_server.address, "/readyz")
        assert code == 503
        assert text.startswith("listed: ")
        assert (await get(made._health_server.address, "/healthz"))[0] == 200
        made.reconciler.feed(Changes("services", listed=True))
        made.reconciler.feed(Changes("endpointslices", listed=True))
        assert "listed" not in (await get(made._health_server.address, "/readyz"))[1]
        made._latch.stopping()
        assert "stopping" in (await get(made._health_server.address, "/readyz"))[1]
    finally:
        await made.stop(asyncio.Event())


async def test_a_port_in_use_is_told_and_everything_is_given_back() -> None:
    async with FaultyServer() as server:
        made = await build(config(healthz_bind_address=f"127.0.0.1:{server.port}"), server.url)
        with pytest.raises(ListenError, match="--healthz-bind-address"):
            await made.start()
        await made.release()


async def test_a_second_signal_ends_the_drain() -> None:
    async with FaultyServer() as server:
        made = await build(config(drain_timeout=60), server.url)
        await made.start()
        forced = asyncio.Event()
        forced.set()
        async with asyncio.timeout(5):
            await made.stop(forced)


async def test_what_a_person_is_warned_about() -> None:
    async with FaultyServer() as server:
        made = await build(config(), server.url)
        try:
            assert made._warnings() == ()
            made.reconciler.captured._failed(CaptureError("nft: told to fail"))
            assert made._warnings() == ("nft: told to fail",)
        finally:
            await made.release()


async def test_settings_reach_their_parts() -> None:
    capture, _ = await choose(capture_settings(config()))
    assert plan_settings(config(no_endpoints="reject"), capture).no_endpoints.value == "reject"
    assert plan_settings(config(sidecar=True), capture).proxy_address_ipv4 == "127.0.0.1"
    assert plan_settings(config(), capture).proxy_address(Family.IPV4) == "169.254.77.1"
    plane = agent_module.plane_settings(config(tcp_keepalive=7, half_close_timeout=8, max_connections=9))
    assert (plane.sockets.keepalive, plane.half_close_timeout, plane.max_connections) == (7, 8, 9)


async def test_workers_are_used_when_asked_for(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO)
    async with FaultyServer() as server:
        async with running(server, workers="1") as made:
            await asyncio.wait_for(made.reconciler.ready.wait(), 10)
            assert len(made.plane.links) == 1
        assert "ready: capture loopback" in caplog.text


async def test_systemd_is_told_of_the_start_the_life_and_the_stop(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    loop = asyncio.get_running_loop()
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_NONBLOCK) as systemd:
        systemd.bind(str(tmp_path / "notify"))
        monkeypatch.setenv("NOTIFY_SOCKET", str(tmp_path / "notify"))
        monkeypatch.setenv("WATCHDOG_USEC", "30000")
        async with FaultyServer() as server:
            async with running(server, drain_timeout=0.0):
                first = await asyncio.wait_for(loop.sock_recv(systemd, 4096), 10)
                assert first.startswith(b"STATUS=not ready: ")
                assert b"READY=1" not in first
                told = first
                while b"READY=1" not in told:
                    told = await asyncio.wait_for(loop.sock_recv(systemd, 4096), 10)
                assert told.startswith(b"STATUS=ready: capture loopback, 0 Service ports, 0 connections\n")
                again = await asyncio.wait_for(loop.sock_recv(systemd, 4096), 10)
                assert again.endswith(b"READY=1\nWATCHDOG=1")
            last = again
            while b"STOPPING=1" not in last:
                last = systemd.recv(4096)
            assert last.startswith(b"STATUS=stopping: draining 0 connections\n")


async def test_a_proxy_that_does_not_keep_up_gives_the_watchdog_no_sign_of_life() -> None:
    async with FaultyServer() as server, running(server) as made:
        await asyncio.wait_for(made.reconciler.ready.wait(), 10)
        made._health.queued(None, time.monotonic() - 100.0)
        state = made._service_state()
    assert not state.alive
    assert state.status.endswith("; changes wait to be applied for too long")


@pytest.mark.parametrize("workers", ["0", "2"])
async def test_the_whole_way_of_a_datagram(workers: str) -> None:
    ports = [{"name": "dns", "port": 53, "protocol": "UDP"}]
    async with FaultyServer() as server:
        echo = UdpEndpoint(b"echo ")
        ready = [{"name": "dns", "port": echo.address[1], "protocol": "UDP"}]
        server.put("nodes", node("n1"))
        server.put("services", service("dns", ports=ports))
        server.put("endpointslices", endpoint_slice("dns-1", "dns", echo.address[0], ports=ready))
        async with running(server, workers=workers) as made:
            await asyncio.wait_for(made.reconciler.ready.wait(), 10)
            [view] = made.services()
            [frontend] = view.ports[0].frontends
            with udp_client((frontend.address, frontend.port)) as client:
                assert await answer_to(client, b"question") == b"echo question"
            await until(lambda: [one.datagrams_sent for _, one in made.plane.counters()] == [1])
        echo.close()
