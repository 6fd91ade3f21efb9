"""What a receiver of the reflectors' changes holds, checked for every promise that the changes make.

Owns the naive application of `Changes` and the comparison with what a server holds, decoded one by one.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable

import msgspec

from tests.kube.faulty_server import FaultyServer, Object
from userproxy.api_objects import Changes, KubeObject
from userproxy.kube.cluster import watched_resources
from userproxy.kube.timing import WatchTiming
from userproxy.model import ServiceName

NODE = "node-1"
QUICK = WatchTiming(
    connect=1.0,
    read=0.4,
    initial_silence=0.25,
    initial_total=2.0,
    server_shortest=20,
    server_longest=30,
    short_watch=0.01,
    first_delay=0.01,
    longest_delay=0.05,
    healthy_after=1.0,
)
"""For tests in which the watch has to give up waiting."""
PATIENT = msgspec.structs.replace(QUICK, connect=10.0, read=10.0, initial_silence=10.0, initial_total=20.0)
"""For the others: no stall of a busy machine looks as if the server were silent."""
Objects = dict[ServiceName, KubeObject]


class Mirror:
    """Applies changes; any change that tells nothing new, or removes what is not there, fails the test."""

    def __init__(self) -> None:
        self.stores: dict[str, Objects] = {"services": {}, "endpointslices": {}, "nodes": {}}
        self.listed: set[str] = set()
        self.batches: list[Changes] = []

    def deliver(self, changes: Changes) -> None:
        store = self.stores[changes.resource]
        keys = [item.key for item in changes.changed] + list(changes.removed)
        assert len(set(keys)) == len(keys), "one batch names an object twice"
        assert changes.listed or keys, "an empty batch says nothing"
        for item in changes.changed:
            assert store.get(item.key) != item, f"{item.key} has not changed"
            store[item.key] = item
        for key in changes.removed:
            del store[key]
        if changes.listed:
            self.listed.add(changes.resource)
        self.batches.append(changes)


def decoded(resource: str, items: list[Object], *, node: str = NODE) -> Objects:
    """Decode objects one by one, as the reflector of `resource` would."""
    [decode] = [one.decoding.decode for one in watched_resources(node, "") if one.name == resource]
    found = [decode(json.dumps(item).encode()).value for item in items]
    return {item.key: item for item in found if item is not None}


def held_by(server: FaultyServer) -> dict[str, Objects]:
    """Return what the server holds, decoded."""
    return {
        name: decoded(name, list(server.objects[name].values()))
        for name in ("services", "endpointslices", "nodes")
    }


async def until(condition: Callable[[], bool], seconds: float = 15.0) -> None:
    """Wait until `condition` holds; fail after `seconds`."""
    ends = asyncio.get_running_loop().time() + seconds
    while not condition():
        assert asyncio.get_running_loop().time() < ends, "waited in vain"
        await asyncio.sleep(0.005)
