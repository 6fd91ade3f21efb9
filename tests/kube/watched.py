"""A faulty server and a cluster that watches it, for the tests of the reflector.

Owns their life, and the objects that every such test begins with.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager

import uvloop

from tests.kube.faulty_server import FaultyServer
from tests.kube.mirror import NODE, QUICK, Mirror, held_by, until
from tests.kube.objects import endpoint_slice, node, service
from userproxy.api_objects import Service, WatchState
from userproxy.kube.cluster import Cluster
from userproxy.kube.timing import WatchTiming
from userproxy.model import ServiceName

LOOPS = {"asyncio": asyncio.new_event_loop, "uvloop": uvloop.new_event_loop}


class Watched:
    """A server, the cluster that watches it, and what the cluster delivered."""

    def __init__(self, server: FaultyServer, cluster: Cluster, mirror: Mirror) -> None:
        self.server = server
        self.cluster = cluster
        self.mirror = mirror

    def state(self, resource: str = "services") -> WatchState:
        [found] = [state for state in self.cluster.watch_states() if state.resource == resource]
        return found

    def restarts(self, resource: str = "services") -> dict[str, int]:
        return dict(self.state(resource).restarts)

    def service(self, name: str) -> Service:
        found = self.mirror.stores["services"][ServiceName("default", name)]
        assert isinstance(found, Service)
        return found

    def equal(self) -> bool:
        return len(self.mirror.listed) == 3 and self.mirror.stores == held_by(self.server)

    async def settle(self) -> None:
        """Wait until all faults were met and the stores are equal, then see that the next change arrives too."""
        await until(lambda: not self.server.faults_left)
        await until(self.equal)
        self.server.put("services", service("afterwards", "10.96.9.9"))
        self.server.put("endpointslices", endpoint_slice("afterwards-x", "afterwards", "10.1.9.9"))
        await until(self.equal)


@asynccontextmanager
async def run_until_done(both: Watched) -> AsyncIterator[Watched]:
    """Run the cluster for as long as the block runs."""
    async with asyncio.TaskGroup() as group:
        running = group.create_task(both.cluster.run(), name="cluster")
        try:
            yield both
        finally:
            running.cancel()


@asynccontextmanager
async def watched(server: FaultyServer, timing: WatchTiming = QUICK) -> AsyncIterator[Watched]:
    """Watch `server`, without credentials, for as long as the block runs."""
    mirror = Mirror()
    cluster = Cluster("", server.url, NODE, "", mirror.deliver, timing=timing)
    async with run_until_done(Watched(server, cluster, mirror)) as both:
        yield both


def fill(server: FaultyServer) -> None:
    for number in range(6):
        server.put("services", service(f"web-{number}", f"10.96.0.{number + 1}"))
        server.put(
            "endpointslices", endpoint_slice(f"web-{number}-abc", f"web-{number}", f"10.1.0.{number + 1}")
        )
    server.put("nodes", node(NODE, "zone-a"))
    server.put("nodes", node("another-node", "zone-b"))


def change(server: FaultyServer) -> None:
    """Something of everything: an update, an update to the same, a removal, an addition, one that is no longer proxied."""
    server.put("services", service("web-0", "10.96.0.1", ports=[{"port": 81}]))
    server.put("services", service("web-1", "10.96.0.2"))
    server.delete("services", "default", "web-2")
    server.put("services", service("web-3", "None"))
    server.put("services", service("new", "10.96.0.77"))
    server.delete("endpointslices", "default", "web-0-abc")
    server.put("endpointslices", endpoint_slice("web-1-abc", "web-1", "10.1.0.2", "10.1.0.22"))
    server.put(
        "nodes",
        node(NODE, "zone-a", taints=[{"key": "ToBeDeletedByClusterAutoscaler", "effect": "NoSchedule"}]),
    )


def run(loop: str, test: Callable[[FaultyServer], Awaitable[None]]) -> None:
    """Run a test with a fresh server under one of the event loops."""

    async def with_server() -> None:
        async with FaultyServer() as server:
            fill(server)
            await test(server)

    with asyncio.Runner(loop_factory=LOOPS[loop]) as runner:
        runner.run(with_server())
