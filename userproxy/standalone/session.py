"""Standalone mode as one thing to start, run and stop: store, API server, manifests, demo.

Owns the order of the parts. Everything about the proxy is elsewhere: it is a client of this API server like any other.
"""

from __future__ import annotations

import asyncio
import contextlib
from pathlib import Path

from userproxy.standalone.addresses import DEFAULT_SERVICE_CIDR, ServiceAddresses, parse_service_cidr
from userproxy.standalone.controllers.in_process import InProcess
from userproxy.standalone.controllers.loop import Controllers
from userproxy.standalone.demo import Demo
from userproxy.standalone.durable import open_store
from userproxy.standalone.listening import TOKEN_CHOICES, ApiListeners
from userproxy.standalone.manifests import ManifestDirectory
from userproxy.standalone.own_node import store_own_node
from userproxy.standalone.probes.prober import Prober
from userproxy.standalone.reaping import EventReaper, PodReaper
from userproxy.standalone.registry import Registry

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
        data_directory: Path | None = None,
        api_tls: bool = False,
        api_token: str = TOKEN_CHOICES[0],
    ) -> None:
        """Check the arguments and open the store.

        `api_bind_address` is host:port, port 0 for any free one, or unix:/path. `service_cidr` is the range of cluster
        IPs. Without a `data_directory` everything is forgotten at the end. `api_token` is auto, required or none. Raises
        UsageError, StoreError.
        """
        self._node_name = node_name
        networks = parse_service_cidr(service_cidr)
        self.listeners = ApiListeners(
            api_bind_address, tls=api_tls, demand=api_token, data_directory=data_directory
        )
        self._store = open_store(data_directory)
        self.registry = Registry(self._store, ServiceAddresses(self._store, networks))
        self._manifests_path = manifests
        self._manifests: ManifestDirectory | None = None
        self._demo = Demo() if demo else None
        self._prober = Prober(self.registry, node_name)
        self._controllers = Controllers(InProcess(self.registry))
        self._following = contextlib.AsyncExitStack()

    @property
    def url(self) -> str:
        """Where the API server answers; only after `start`."""
        return self.listeners.url

    async def start(self) -> None:
        """Load everything, then answer. Raises ListenError, UsageError, StoreError."""
        if self._manifests_path is not None:
            self._manifests = ManifestDirectory(self._manifests_path, self.registry)
        self.listeners.open(self.registry)
        self.registry.create_initial_objects()
        store_own_node(self.registry, self._node_name)
        if self._demo is not None:
            await self._demo.start()
            self._demo.store(self.registry, self._node_name)
        if self._manifests is not None:
            self._manifests.load()
        self._following.enter_context(self._prober.following())
        await self._following.enter_async_context(self._controllers.following())
        await self._controllers.settle()
        await self._store.settle()
        await self.listeners.start()

    async def run(self) -> None:
        """Follow the manifests, probe Pods, keep endpoints right and remove deleted Pods, until cancelled."""
        async with asyncio.TaskGroup() as group:
            if self._manifests is not None:
                group.create_task(self._manifests.run(), name="manifests")
            group.create_task(PodReaper(self.registry).run(), name="pod reaper")
            group.create_task(EventReaper(self.registry).run(), name="event reaper")
            group.create_task(self._prober.run(), name="readiness probes")
            group.create_task(self._controllers.run(), name="controllers")

    async def stop(self) -> None:
        """End watches and requests, close every socket and the store. May be called twice."""
        await self.listeners.stop()
        await self._following.aclose()
        if self._demo is not None:
            await self._demo.stop()
        await self._store.close()
