"""Probing of declared Pods: conditions follow real servers on loopback, in the time that an injected clock tells."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import socket
from collections.abc import AsyncIterator, Callable
from typing import Any

import pytest

from tests.standalone.controllers.scenes import new_registry, ready_addresses, service
from userproxy.standalone.controllers.in_process import InProcess
from userproxy.standalone.controllers.loop import Controllers
from userproxy.standalone.deletion import DeleteOptions
from userproxy.standalone.kinds import ENDPOINT_SLICE, POD, SERVICE
from userproxy.standalone.probes.prober import Prober
from userproxy.standalone.registry import Registry
from userproxy.standalone.resources.pod import is_ready


class Clock:
    """Seconds that pass when a test says so."""

    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


class Scene:
    """A registry with a prober; `pass_time` moves the clock and lets what is due happen."""

    def __init__(self, at_once: int = 64) -> None:
        self.registry = new_registry()
        self.clock = Clock()
        self.prober = Prober(self.registry, clock=self.clock, at_once=at_once)

    @contextlib.asynccontextmanager
    async def probing(self) -> AsyncIterator[None]:
        async with asyncio.TaskGroup() as group:
            with self.prober.following():
                task = group.create_task(self.prober.run(), name="prober")
                yield
            task.cancel()

    def ready(self, name: str = "a") -> bool:
        return is_ready(self.registry.read(POD, "default", name))

    async def pass_time(self, seconds: float) -> None:
        self.clock.now += seconds
        self.prober._wake.set()

    def at_rest(self) -> bool:
        """Whether every probe that was due has ended."""
        targets = [target for pod in self.prober._pods.values() for target in pod.targets.values()]
        return all(not target.running and target.due > self.clock.now for target in targets)

    async def until(self, holds: Callable[[], bool]) -> None:
        async with asyncio.timeout(5):
            while not holds():
                await asyncio.sleep(0.005)


def pod(name: str = "a", *, address: str = "127.0.0.1", **probe: Any) -> dict[str, Any]:
    container = {"name": "c", "readinessProbe": probe} if probe else {"name": "c"}
    return {
        "metadata": {"name": name, "labels": {"app": "web"}},
        "spec": {"containers": [container]},
        "status": {"phase": "Running", "podIP": address},
    }


class Server:
    """Counts the connections that it takes."""

    def __init__(self, port: int = 0) -> None:
        self.connections = 0
        self._port = port

    async def __aenter__(self) -> Server:
        self._server = await asyncio.start_server(self._on_connection, "127.0.0.1", self._port)
        self.port = self._server.sockets[0].getsockname()[1]
        return self

    async def __aexit__(self, *_exception: object) -> None:
        self._server.close()
        await self._server.wait_closed()

    async def _on_connection(self, _reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.connections += 1
        writer.close()
        with contextlib.suppress(ConnectionError):
            await writer.wait_closed()


async def test_ready_while_the_server_answers() -> None:
    scene = Scene()
    async with scene.probing():
        async with Server() as server:
            probe = {"tcpSocket": {"port": server.port}, "periodSeconds": 10, "failureThreshold": 2}
            scene.registry.create(POD, "default", pod(**probe))
            assert not scene.ready()
            await scene.until(scene.ready)
        await scene.pass_time(10)
        await scene.until(scene.at_rest)
        assert scene.ready()  # one failure is not enough
        await scene.pass_time(10)
        await scene.until(lambda: not scene.ready())
        async with Server(server.port):
            await scene.pass_time(10)
            await scene.until(scene.ready)
    kinds = {c["type"] for c in scene.registry.read(POD, "default", "a")["status"]["conditions"]}
    assert kinds == {"Ready", "ContainersReady"}


def test_a_probe_is_stored_with_its_defaults_as_kubectl_describe_shows_them() -> None:
    registry = Scene().registry
    registry.create(POD, "default", pod(httpGet={"port": 80, "path": ""}, periodSeconds=3, timeoutSeconds=0))
    [container] = registry.read(POD, "default", "a")["spec"]["containers"]
    assert container["readinessProbe"] == {
        "httpGet": {"port": 80, "path": "/", "scheme": "HTTP"},
        "timeoutSeconds": 1,
        "periodSeconds": 3,
        "successThreshold": 1,
        "failureThreshold": 3,
    }


async def test_an_empty_probe_is_none() -> None:
    scene = Scene()
    scene.registry.create(
        POD, "default", pod() | {"spec": {"containers": [{"name": "c", "readinessProbe": {}}]}}
    )
    assert scene.ready()


async def test_delay_and_period() -> None:
    scene = Scene()
    async with Server() as server, scene.probing():
        probe = {"tcpSocket": {"port": server.port}, "initialDelaySeconds": 5, "successThreshold": 2}
        scene.registry.create(POD, "default", pod(**probe))
        await asyncio.sleep(0.1)
        assert server.connections == 0
        await scene.pass_time(5)
        await scene.until(lambda: server.connections == 1)
        await scene.pass_time(9)
        await asyncio.sleep(0.1)
        assert (server.connections, scene.ready()) == (1, False)
        await scene.pass_time(1)
        await scene.until(scene.ready)
        assert server.connections == 2


async def test_all_probed_containers_must_be_ready() -> None:
    scene = Scene()
    async with Server() as server, scene.probing():
        made = pod(tcpSocket={"port": server.port})
        with socket.create_server(("127.0.0.1", 0)) as free:
            other = free.getsockname()[1]
        made["spec"]["containers"].append({"name": "d", "readinessProbe": {"tcpSocket": {"port": other}}})
        scene.registry.create(POD, "default", made)
        await scene.until(lambda: server.connections == 1)
        await asyncio.sleep(0.1)
        assert not scene.ready()
        async with Server(other):
            await scene.pass_time(10)
            await scene.until(scene.ready)


async def test_exec_and_grpc_are_refused_by_name(caplog: pytest.LogCaptureFixture) -> None:
    scene = Scene()
    with caplog.at_level(logging.WARNING):
        async with scene.probing():
            written = scene.registry.create(POD, "default", pod(exec={"command": ["true"]}))
            assert "readinessProbe.exec is not run here" in written.warnings[0]
            await scene.until(lambda: "conditions" in scene.registry.read(POD, "default", "a")["status"])
    (warning,) = [record.getMessage() for record in caplog.records]
    assert warning.startswith(
        "Pod default/a, container c: readinessProbe.exec is not run here: use tcpSocket"
    )
    condition = scene.registry.read(POD, "default", "a")["status"]["conditions"][0]
    assert (condition["status"], condition["reason"]) == ("False", "ProbeNotSupported")


async def test_a_pod_that_loses_its_probe_becomes_ready_and_a_deleted_one_is_forgotten() -> None:
    scene = Scene()
    with socket.create_server(("127.0.0.1", 0)) as free:
        closed = free.getsockname()[1]
    async with scene.probing():
        scene.registry.create(POD, "default", pod(tcpSocket={"port": closed}))
        await scene.until(lambda: scene.prober.targets == 1)
        scene.registry.replace(POD, "default", "a", pod() | {"status": {}})
        await scene.until(scene.ready)
        scene.registry.replace(POD, "default", "a", pod(tcpSocket={"port": closed}))
        await scene.until(lambda: scene.prober.targets == 1)
        scene.registry.delete(POD, "default", "a", DeleteOptions(grace=0))
        await scene.until(lambda: scene.prober.targets == 0)


async def test_pods_that_do_not_run_are_not_probed() -> None:
    scene = Scene()
    async with Server() as server, scene.probing():
        pending = pod(tcpSocket={"port": server.port}) | {"status": {"phase": "Pending"}}
        scene.registry.create(POD, "default", pending)
        await asyncio.sleep(0.1)
        assert (scene.prober.targets, server.connections) == (0, 0)


async def test_no_more_probes_at_a_time_than_allowed_and_none_left_over() -> None:
    """Servers that accept nothing hold their probes; the others wait for a free slot and get one in the end."""
    scene = Scene(at_once=2)
    held = asyncio.Event()
    most = now = 0

    async def hold(_reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        nonlocal most, now
        now += 1
        most = max(most, now)
        await held.wait()
        now -= 1
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n")
        writer.close()
        with contextlib.suppress(ConnectionError):
            await writer.wait_closed()

    server = await asyncio.start_server(hold, "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    names = [f"p{number}" for number in range(7)]
    async with server, scene.probing():
        for name in names:
            probe = {"httpGet": {"port": port}, "timeoutSeconds": 30}
            scene.registry.create(POD, "default", pod(name, **probe))
        await scene.until(lambda: now == 2)
        await asyncio.sleep(0.1)
        assert now == 2
        held.set()
        await scene.until(lambda: all(scene.ready(name) for name in names))
    assert most == 2


async def test_an_unhealthy_pod_leaves_the_slice_and_comes_back() -> None:
    scene = Scene()
    controllers = Controllers(InProcess(scene.registry))
    async with scene.probing(), controllers.following(), asyncio.TaskGroup() as group:
        running = group.create_task(controllers.run(), name="controllers")
        registry: Registry = scene.registry
        registry.create(SERVICE, "default", service("web"))
        async with Server() as server:
            probe = {"tcpSocket": {"port": server.port}, "failureThreshold": 1}
            registry.create(POD, "default", pod(**probe))
            await scene.until(lambda: ready_addresses(registry) == ["127.0.0.1"])
        await scene.pass_time(10)
        await scene.until(lambda: ready_addresses(registry) == [])
        async with Server(server.port):
            await scene.pass_time(10)
            await scene.until(lambda: ready_addresses(registry) == ["127.0.0.1"])
        running.cancel()


async def test_a_pod_declared_anew_does_not_leave_the_slice_for_a_moment() -> None:
    """Manifests give the whole status, without the conditions that the prober has written."""
    scene = Scene()
    controllers = Controllers(InProcess(scene.registry))
    registry = scene.registry
    async with Server() as server, scene.probing(), controllers.following(), asyncio.TaskGroup() as group:
        running = group.create_task(controllers.run(), name="controllers")
        declared = pod(tcpSocket={"port": server.port})
        registry.create(POD, "default", declared)
        registry.create(SERVICE, "default", service("web"))
        await scene.until(lambda: ready_addresses(registry) == ["127.0.0.1"])
        states: list[list[str]] = []
        leave = registry.store.subscribe(
            ENDPOINT_SLICE, lambda _event: states.append(ready_addresses(registry))
        )
        declared["metadata"]["labels"] = {"app": "web", "version": "2"}
        registry.replace(POD, "default", "a", declared)
        assert not scene.ready()
        await scene.until(scene.ready)
        await asyncio.sleep(0.1)
        leave()
        assert [] not in states
        running.cancel()
