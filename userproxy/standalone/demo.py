"""The demo: three HTTP servers in this process, and the objects that put them behind the Service `my-service`.

Owns the servers' sockets. Each has a loopback address of its own, as Pods have addresses of their own, and all share one
port that the kernel chose. The controllers make the EndpointSlice; a real API server refuses its loopback addresses.
"""

from __future__ import annotations

import asyncio
import logging
import socket

import msgspec
from aiohttp import web

from userproxy.errors import ListenError
from userproxy.standalone.kinds import POD, SERVICE
from userproxy.standalone.objects import Json, object_key
from userproxy.standalone.registry import Registry

log = logging.getLogger(__name__)

SERVICE_NAME = "my-service"
CLUSTER_IP = "10.96.163.26"
SERVICE_PORT = 80
_LABELS = {"app": "my-app"}
_ADDRESSES = ("127.0.10.1", "127.0.10.2", "127.0.10.3")
_PORT_ATTEMPTS = 20
_SHUTDOWN_SECONDS = 1.0


class Backend(msgspec.Struct, frozen=True):
    """One demo server: its Pod's name and where it listens."""

    name: str
    address: str
    port: int


class Demo:
    """The demo servers. `start` before `objects`; `stop` closes every socket."""

    def __init__(self) -> None:
        self.backends: tuple[Backend, ...] = ()
        self._runners: list[web.ServerRunner] = []

    async def start(self) -> None:
        """Begin to answer. Raises ListenError."""
        sockets = _listen_on_all(_ADDRESSES)
        port = sockets[0].getsockname()[1]
        names = [f"my-pod-{number}" for number in range(1, len(sockets) + 1)]
        self.backends = tuple(
            Backend(name, address, port) for name, address in zip(names, _ADDRESSES, strict=True)
        )
        for name, listener in zip(names, sockets, strict=True):
            runner = web.ServerRunner(_server(name), handle_signals=False, shutdown_timeout=_SHUTDOWN_SECONDS)
            await runner.setup()
            await web.SockSite(runner, listener).start()
            self._runners.append(runner)
        log.debug("demo servers listen at port %d of %s", port, ", ".join(_ADDRESSES))

    async def stop(self) -> None:
        """Close connections and sockets. May be called twice."""
        runners, self._runners = self._runners, []
        async with asyncio.TaskGroup() as group:
            for number, runner in enumerate(runners, 1):
                group.create_task(runner.cleanup(), name=f"stop demo server {number}")

    def store(self, registry: Registry, node_name: str) -> None:
        """Create the objects of the demo, those that are there already left alone."""
        pods = [_pod(backend, node_name) for backend in self.backends]
        for kind, item in [
            *[(POD, pod) for pod in pods],
            (SERVICE, self._service(registry)),
        ]:
            if registry.store.get(kind, object_key("default", item["metadata"]["name"])) is None:
                registry.create(kind, "default", item)

    def _service(self, registry: Registry) -> Json:
        port = {"port": SERVICE_PORT, "targetPort": self.backends[0].port}
        spec: Json = {"selector": _LABELS, "ports": [port]}
        if registry.is_free_cluster_ip(CLUSTER_IP):
            spec["clusterIP"] = CLUSTER_IP
        return {"metadata": {"name": SERVICE_NAME}, "spec": spec}


def _pod(backend: Backend, node_name: str) -> Json:
    container = {"name": "web", "image": "none", "ports": [{"containerPort": backend.port}]}
    return {
        "metadata": {"name": backend.name, "labels": _LABELS},
        "spec": {"nodeName": node_name, "containers": [container], "terminationGracePeriodSeconds": 1},
        "status": {"phase": "Running", "podIP": backend.address, "hostIP": "127.0.0.1"},
    }


def _server(name: str) -> web.Server:
    async def handle(_request: web.BaseRequest) -> web.Response:
        return web.Response(text=f"Hello from {name}\n")

    return web.Server(handle, access_log=None)


def _listen_on_all(addresses: tuple[str, ...]) -> list[socket.socket]:
    """Return a listening socket on each address, all with one port. Raises ListenError."""
    fault: OSError | None = None
    for _attempt in range(_PORT_ATTEMPTS):
        sockets: list[socket.socket] = []
        try:
            for address in addresses:
                port = sockets[0].getsockname()[1] if sockets else 0
                sockets.append(socket.create_server((address, port), backlog=1024))
        except OSError as taken:  # the port that is free on one address may be taken on the next
            fault = taken
            for opened in sockets:
                opened.close()
        else:
            return sockets
    why = fault.strerror if fault else "no port"
    raise ListenError(
        f"cannot listen for the demo on {', '.join(addresses)}: {why}: run without --demo"
    ) from fault
