"""Everything userproxy watches in one cluster: Services, EndpointSlices and its own Node.

Owns which resources those are, with their paths and selectors (those of kube-proxy 1.36), and the life of the client and the
reflectors. What becomes of the changes is the caller's.
"""

from __future__ import annotations

import asyncio
import os
from collections.abc import Callable, Mapping
from pathlib import Path

from userproxy.api_objects import Changes, WatchState
from userproxy.kube.access import Access
from userproxy.kube.client import ApiClient
from userproxy.kube.credentials import SERVICE_ACCOUNT, Credentials
from userproxy.kube.decode import PROXY_NAME_LABEL, SLICES, nodes_for, services_for
from userproxy.kube.events import EventRecorder
from userproxy.kube.reflector import Reflector, Resource
from userproxy.kube.timing import WatchTiming


class Cluster:
    """One API server and the watches on it."""

    def __init__(
        self,
        kubeconfig: str,
        master: str,
        node_name: str,
        service_proxy_name: str,
        deliver: Callable[[Changes], None],
        *,
        access: Access | None = None,
        timing: WatchTiming | None = None,
        service_account: Path = SERVICE_ACCOUNT,
        environ: Mapping[str, str] = os.environ,
    ) -> None:
        """`kubeconfig` is a path and `master` a URL; both empty means that we run in a Pod, unless `access` is given.

        `node_name` empty: no Node is watched. `service_proxy_name` empty: Services without that label are ours. `deliver` is
        called in the event loop with each batch.
        """
        timing = timing or WatchTiming()
        self._credentials = Credentials(kubeconfig, master, service_account, environ, access)
        self._client = ApiClient(self._credentials, timing.connect, timing.read)
        self.events = EventRecorder(self._client, node_name)
        self._reflectors = tuple(
            Reflector(resource, self._client, deliver, timing)
            for resource in watched_resources(node_name, service_proxy_name)
        )

    async def prepare(self) -> None:
        """Read the credentials, so that unusable ones are told at start; raise UsageError. Asks the server nothing."""
        await self._credentials.current()

    async def run(self) -> None:
        """Watch until cancelled; raise UsageError at once when there are no usable credentials."""
        await self.prepare()
        async with self._client, asyncio.TaskGroup() as group:
            group.create_task(self.events.run(), name="events")
            for reflector in self._reflectors:
                group.create_task(reflector.run(), name=f"watch {reflector.name}")

    def watch_states(self) -> tuple[WatchState, ...]:
        """Return how each watch is doing."""
        return tuple(reflector.state() for reflector in self._reflectors)


def watched_resources(node_name: str, service_proxy_name: str) -> tuple[Resource, ...]:
    """Return what to watch; see `Cluster` for the arguments."""
    own = f"{PROXY_NAME_LABEL}={service_proxy_name}" if service_proxy_name else f"!{PROXY_NAME_LABEL}"
    services = Resource(
        "services",
        "/api/v1/services",
        services_for(service_proxy_name),
        label_selector=own,
        # Servers before 1.32 (and others than kube-apiserver) may refuse this selector; decode filters too.
        field_selector="spec.clusterIP!=None",
    )
    slices = Resource(
        "endpointslices",
        "/apis/discovery.k8s.io/v1/endpointslices",
        SLICES,
        label_selector="!service.kubernetes.io/headless",
    )
    if not node_name:
        return services, slices
    node = Resource(
        "nodes",
        "/api/v1/nodes",
        nodes_for(node_name),
        field_selector=f"metadata.name={node_name}",
    )
    return services, slices, node
