"""Events of controllers and the prober: form, counting, bounds, and their end."""

from __future__ import annotations

import socket
import time
from typing import Any

from tests.standalone.controllers.scenes import controlled, new_registry, pod, service
from tests.standalone.probes.test_prober import Scene
from tests.standalone.probes.test_prober import pod as probed_pod
from userproxy.standalone.controllers.cluster import WriteFailed
from userproxy.standalone.controllers.in_process import InProcess
from userproxy.standalone.controllers.loop import Controllers
from userproxy.standalone.controllers.state import Settings
from userproxy.standalone.kinds import ENDPOINTS, EVENT, POD, SERVICE
from userproxy.standalone.objects import Json
from userproxy.standalone.reaping import EVENT_LIFE, EventReaper
from userproxy.standalone.recording import BURST, REFILL_SECONDS, Bounds, Notice, Recorder
from userproxy.standalone.registry import Registry


def events(registry: Registry) -> list[Json]:
    return [item for _key, item in registry.store.items(EVENT)]


async def test_the_same_words_count_up() -> None:
    registry = new_registry()
    about = registry.create(POD, "default", pod("a", "10.0.0.1")).item
    moments = iter(range(1_700_000_000, 1_700_000_010))
    recorder = Recorder(InProcess(registry), "kubelet", "here", clock=lambda: 0.0, now=lambda: next(moments))
    for message in ("x", "x", "y", "x"):
        await recorder.record(Notice(about, "Unhealthy", message, field="spec.containers{c}"))
    first, second = sorted(events(registry), key=lambda item: str(item["message"]))
    assert (first["count"], second["count"]) == (3, 1)
    assert (first["firstTimestamp"], first["lastTimestamp"]) == (
        "2023-11-14T22:13:20Z",
        "2023-11-14T22:13:23Z",
    )
    assert first["involvedObject"] == {
        "kind": "Pod",
        "namespace": "default",
        "name": "a",
        "uid": about["metadata"]["uid"],
        "apiVersion": "v1",
        "resourceVersion": about["metadata"]["resourceVersion"],
        "fieldPath": "spec.containers{c}",
    }
    assert (first["type"], first["reason"]) == ("Warning", "Unhealthy")
    assert first["source"] == {"component": "kubelet", "host": "here"}
    registry.store.delete(EVENT, f"default/{first['metadata']['name']}")
    await recorder.record(Notice(about, "Unhealthy", "x", field="spec.containers{c}"))
    assert sorted(item["count"] for item in events(registry)) == [1, 1]  # begun anew


def test_too_many_are_left_out() -> None:
    bounds = Bounds()
    assert [bounds.allows("a", 0.0) for _ in range(BURST + 5)] == [True] * BURST + [False] * 5
    assert bounds.allows("b", 0.0)
    assert not bounds.allows("a", REFILL_SECONDS * 0.5)
    assert bounds.allows("a", REFILL_SECONDS * 1.1)
    for number in range(5000):
        bounds.allows(str(number), 0.0)
    assert bounds.allows("a", REFILL_SECONDS)  # forgotten among so many


async def test_a_failing_probe_is_told() -> None:
    scene = Scene()
    with socket.create_server(("127.0.0.1", 0)) as free:
        closed = free.getsockname()[1]
    async with scene.probing():
        scene.registry.create(POD, "default", probed_pod(tcpSocket={"port": closed}, failureThreshold=1))
        await scene.until(lambda: len(events(scene.registry)) == 1)
        await scene.pass_time(10)
        await scene.until(lambda: events(scene.registry)[0]["count"] == 2)
        scene.registry.create(POD, "default", probed_pod("b", exec={"command": ["true"]}))
        await scene.until(lambda: len(events(scene.registry)) == 2)
    told = {item["involvedObject"]["name"]: item for item in events(scene.registry)}
    assert told["a"]["message"].startswith("Readiness probe failed: ")
    assert told["a"]["message"].endswith("Connection refused")
    assert told["b"]["reason"] == "ProbeNotSupported"


async def test_what_cannot_be_mirrored_is_told() -> None:
    async with controlled(Settings(mirrored_per_subset=2)) as (registry, controllers):
        registry.create(SERVICE, "default", service("web") | {"spec": {"ports": [{"port": 80}]}})
        addresses = [{"ip": f"10.0.0.{number}"} for number in range(1, 6)]
        subsets = [{"addresses": addresses, "ports": [{"port": 80}]}]
        registry.create(ENDPOINTS, "default", {"metadata": {"name": "web"}, "subsets": subsets})
        await controllers.settle()
        await controllers.settle()
        (told,) = events(registry)
    assert told["message"] == (
        "A max of 2 addresses can be mirrored to EndpointSlices per Endpoints subset. 3 addresses were skipped"
    )
    assert (told["reason"], told["involvedObject"]["kind"]) == ("TooManyAddressesToMirror", "Endpoints")


class Refusing(InProcess):
    """A cluster that takes nothing but Events."""

    def __init__(self, registry: Registry) -> None:
        super().__init__(registry)
        self.writes = 0

    async def create(self, kind: Any, item: Json) -> Json:
        if kind is EVENT:
            return await super().create(kind, item)
        self.writes += 1
        raise WriteFailed("no room")


async def test_writes_that_fail_are_told() -> None:
    registry = new_registry()
    controllers = Controllers(Refusing(registry))
    async with controllers.following():
        registry.create(SERVICE, "default", service("web"))
        await controllers.settle()
    (told,) = events(registry)
    assert (told["reason"], told["involvedObject"]["kind"]) == ("FailedToCreateEndpoint", "Service")
    assert told["message"] == "Failed to create endpoint for service default/web: no room"


async def test_events_end_after_an_hour() -> None:
    registry = new_registry()
    for name, last in (("old", None), ("told-again", "2099-01-01T00:00:00Z")):
        registry.create(
            EVENT,
            "default",
            {"metadata": {"name": name}, "involvedObject": {"namespace": "default"}, "lastTimestamp": last},
        )
    EventReaper(registry).remove_due()
    assert len(events(registry)) == 2
    EventReaper(registry, lambda: time.time() + EVENT_LIFE + 2).remove_due()
    assert [item["metadata"]["name"] for item in events(registry)] == ["told-again"]
