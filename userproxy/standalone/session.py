"""Standalone mode as one thing to start, run and stop: store, API server, manifests, demo.

Owns the order of the parts. Everything about the proxy is elsewhere: it is a client of this API server like any other.
"""

from __future__ import annotations

import asyncio
import logging
from pathlib import Path

from userproxy.standalone.addresses import DEFAULT_SERVICE_CIDR, ServiceAddresses, parse_service_cidr
from userproxy.standalone.demo import Demo
from userproxy.standalone.kinds import NODE
from userproxy.standalone.manifests import ManifestDirectory
from userproxy.standalone.objects import Json
from userproxy.standalone.reaping import PodReaper
from userproxy.standalone.registry import Registry
from userproxy.standalone.server import ApiServer, open_listener
from userproxy.standalone.store import MemoryStore

log = logging.getLogger(__name__)

DEFAULT_API_BIND_ADDRESS = "127.0.0.1:8001"


class Standalone:
    """Kubernetes Services without Kubernetes.

    `start` returns when everything answers and is loaded, `run` follows the manifests until cancelled, `stop` leaves
    nothing behind, also after a `start` that failed.
    """

    def __init__(
        self,
        api_bind_address: str = DEFAULT_API_BIND_ADDRESS,
        manifests: Path | None = None,
        demo: bool = False,
        node_name: str = "localhost",
        service_cidr: str = DEFAULT_SERVICE_CIDR,
    ) -> None:
        """Check the arguments; opens nothing.

        `api_bind_address` is host:port, port 0 for any free one. `service_cidr` is the range of cluster IPs. Raises
        UsageError.
        """
        self._bind_address = api_bind_address
        self._node_name = node_name
        store = MemoryStore()
        self.registry = Registry(store, ServiceAddresses(store, parse_service_cidr(service_cidr)))
        self._manifests = ManifestDirectory(manifests, self.registry) if manifests is not None else None
        self._demo = Demo() if demo else None
        self._server: ApiServer | None = None

    @property
    def url(self) -> str:
        """Where the API server answers; only after `start`."""
        if self._server is None:
            raise RuntimeError("the API server has not been started")
        return f"http://{self._server.address}"

    async def start(self) -> None:
        """Load everything, then answer. Raises ListenError, UsageError, ManifestError."""
        self._server = ApiServer(self.registry, open_listener(self._bind_address))
        self.registry.create_initial_objects()
        if self.registry.store.get(NODE, self._node_name) is None:
            self.registry.create(NODE, "", _node(self._node_name))
        if self._demo is not None:
            await self._demo.start()
            self._demo.store(self.registry, self._node_name)
        if self._manifests is not None:
            self._manifests.load()
        await self._server.start()
        log.info("API server answers at %s", self.url)

    async def run(self) -> None:
        """Follow the manifests and remove deleted Pods after their grace, until cancelled."""
        async with asyncio.TaskGroup() as group:
            if self._manifests is not None:
                group.create_task(self._manifests.run(), name="manifests")
            group.create_task(PodReaper(self.registry).run(), name="pod reaper")

    async def stop(self) -> None:
        """End watches and requests, close every socket. May be called twice."""
        if self._server is not None:
            await self._server.stop()
        if self._demo is not None:
            await self._demo.stop()


def _node(name: str) -> Json:
    return {
        "metadata": {"name": name, "labels": {"kubernetes.io/hostname": name, "kubernetes.io/os": "linux"}},
        "status": {
            "conditions": [{"type": "Ready", "status": "True", "reason": "Standalone"}],
            "addresses": [
                {"type": "InternalIP", "address": "127.0.0.1"},
                {"type": "Hostname", "address": name},
            ],
        },
    }
