"""The controllers in one process with the store: what follows from writes, repairs, failures, and what ends with a Service."""

from __future__ import annotations

import asyncio
import time

from tests.standalone.controllers.scenes import (
    controlled,
    new_registry,
    pod,
    ready_addresses,
    service,
    slices,
    stored,
)
from userproxy.standalone.controllers.in_process import InProcess
from userproxy.standalone.controllers.loop import Controllers
from userproxy.standalone.controllers.state import Settings
from userproxy.standalone.deletion import DeleteOptions
from userproxy.standalone.kinds import ENDPOINT_SLICE, ENDPOINTS, NAMESPACE, NODE, POD, SERVICE
from userproxy.standalone.objects import Json
from userproxy.standalone.registry import Registry

SKIP = "endpointslice.kubernetes.io/skip-mirror"


async def test_what_was_there_before_is_taken_in() -> None:
    registry = new_registry()
    registry.create(POD, "default", pod("a", "10.0.0.1"))
    registry.create(SERVICE, "default", service("web"))
    controllers = Controllers(InProcess(registry))
    async with controllers.following():
        await controllers.settle()
        assert ready_addresses(registry) == ["10.0.0.1"]
    registry.create(POD, "default", pod("b", "10.0.0.2"))
    await controllers.settle()
    assert ready_addresses(registry) == ["10.0.0.1"]  # no longer followed


async def test_pod_changes_are_in_the_slice_at_once() -> None:
    async with controlled() as (registry, controllers), asyncio.TaskGroup() as group:
        running = group.create_task(controllers.run(), name="controllers")
        registry.create(SERVICE, "default", service("web"))
        for number in range(1, 4):
            registry.create(POD, "default", pod(f"p{number}", f"10.0.0.{number}"))
        slowest = 0.0
        for wanted in (["10.0.0.1", "10.0.0.3"], ["10.0.0.1", "10.0.0.2", "10.0.0.3"]) * 5:
            set_ready(registry, "p2", "10.0.0.2" in wanted)
            began = time.monotonic()
            async with asyncio.timeout(5):
                while ready_addresses(registry) != wanted:
                    await asyncio.sleep(0.001)
            slowest = max(slowest, time.monotonic() - began)
        assert (
            slowest < 2
        )  # a bound for a lost wake-up, which would be found at the next retry only; not a measure
        running.cancel()


def set_ready(registry: Registry, name: str, ready: bool) -> None:
    def change(item: Json) -> Json:
        item["status"]["conditions"] = [{"type": "Ready", "status": str(ready)}]
        return item

    registry.change(POD, "default", name, change, status=True)


async def test_own_writes_do_not_lead_to_more_writes() -> None:
    async with controlled() as (registry, controllers):
        registry.create(SERVICE, "default", service("web"))
        registry.create(POD, "default", pod("a", "10.0.0.1"))
        await controllers.settle()
        version = registry.store.version
        await controllers.settle()
        registry.change(POD, "default", "a", lambda item: item | {"metadata": noted(item)})
        await controllers.settle()
        assert registry.store.version == version + 1  # the Pod alone


def noted(item: Json) -> Json:
    metadata: Json = item["metadata"] | {"annotations": {"note": "nothing that matters to endpoints"}}
    return metadata


async def test_slices_that_others_change_or_delete_are_repaired() -> None:
    async with controlled() as (registry, controllers):
        registry.create(SERVICE, "default", service("web"))
        registry.create(POD, "default", pod("a", "10.0.0.1"))
        await controllers.settle()
        (made,) = slices(registry)
        name = made["metadata"]["name"]
        registry.change(ENDPOINT_SLICE, "default", name, lambda item: item | {"endpoints": []})
        await controllers.settle()
        assert ready_addresses(registry) == ["10.0.0.1"]
        registry.delete(ENDPOINT_SLICE, "default", slices(registry)[0]["metadata"]["name"])
        registry.delete(ENDPOINTS, "default", "web")
        await controllers.settle()
        assert ready_addresses(registry) == ["10.0.0.1"]
        assert len(stored(registry, ENDPOINTS)) == 1


async def test_annotations_of_others_stay_on_a_slice() -> None:
    async with controlled() as (registry, controllers):
        registry.create(SERVICE, "default", service("web"))
        registry.create(POD, "default", pod("a", "10.0.0.1"))
        await controllers.settle()
        name = slices(registry)[0]["metadata"]["name"]
        registry.change(ENDPOINT_SLICE, "default", name, lambda item: item | {"metadata": noted(item)})
        registry.create(POD, "default", pod("b", "10.0.0.2"))
        await controllers.settle()
        (made,) = slices(registry)
        assert made["metadata"]["annotations"]["note"]
        assert ready_addresses(registry) == ["10.0.0.1", "10.0.0.2"]


async def test_a_deleted_service_takes_its_own_along_and_leaves_hand_made_slices() -> None:
    async with controlled() as (registry, controllers):
        registry.create(SERVICE, "default", service("web"))
        by_hand = {
            "metadata": {"name": "by-hand", "labels": {"kubernetes.io/service-name": "web"}},
            "addressType": "IPv4",
            "endpoints": [{"addresses": ["10.0.0.9"]}],
            "ports": [],
        }
        registry.create(ENDPOINT_SLICE, "default", by_hand)
        await controllers.settle()
        uid = stored(registry, SERVICE)[0]["metadata"]["uid"]
        adopted = {"apiVersion": "v1", "kind": "Service", "name": "web", "uid": uid}
        named = {**by_hand, "metadata": {"name": "owned-too", "ownerReferences": [adopted]}}
        registry.create(ENDPOINT_SLICE, "default", named)
        await controllers.settle()
        assert len(slices(registry)) == 3
        registry.delete(SERVICE, "default", "web")
        await controllers.settle()
        assert [item["metadata"]["name"] for item in slices(registry)] == ["by-hand"]
        assert stored(registry, ENDPOINTS) == []


async def test_what_an_ended_service_left_is_removed_at_the_start() -> None:
    registry = new_registry()
    async with (controllers := Controllers(InProcess(registry))).following():
        registry.create(SERVICE, "default", service("web"))
        await controllers.settle()
    registry.delete(SERVICE, "default", "web")
    hand_made = {
        "metadata": {"name": "early"},
        "subsets": [{"addresses": [{"ip": "10.0.0.9"}], "ports": [{"port": 1}]}],
    }
    registry.create(ENDPOINTS, "default", hand_made)
    async with (controllers := Controllers(InProcess(registry))).following():
        await controllers.settle()
    assert slices(registry) == []
    assert [item["metadata"]["name"] for item in stored(registry, ENDPOINTS)] == ["early"]


async def test_a_service_made_again_at_once_gets_slices_of_its_own() -> None:
    async with controlled() as (registry, controllers):
        registry.create(POD, "default", pod("a", "10.0.0.1"))
        registry.create(SERVICE, "default", service("web"))
        await controllers.settle()
        registry.delete(SERVICE, "default", "web")
        uid = registry.create(SERVICE, "default", service("web")).item["metadata"]["uid"]
        await controllers.settle()
        assert [item["metadata"]["ownerReferences"][0]["uid"] for item in slices(registry)] == [uid]
        assert ready_addresses(registry) == ["10.0.0.1"]


async def test_hand_made_endpoints_are_mirrored_only_without_a_selector() -> None:
    async with controlled() as (registry, controllers):
        registry.create(SERVICE, "default", {"metadata": {"name": "db"}, "spec": {"ports": [{"port": 1}]}})
        endpoints = {
            "metadata": {"name": "db"},
            "subsets": [{"addresses": [{"ip": "10.0.0.9"}], "ports": [{"port": 1}]}],
        }
        registry.create(ENDPOINTS, "default", endpoints)
        await controllers.settle()
        assert ready_addresses(registry) == ["10.0.0.9"]
        labelled = {**endpoints, "metadata": {"name": "db", "labels": {SKIP: "true"}}}
        registry.replace(ENDPOINTS, "default", "db", labelled)
        await controllers.settle()
        assert slices(registry) == []
        registry.replace(ENDPOINTS, "default", "db", endpoints)
        registry.change(
            SERVICE, "default", "db", lambda item: item | {"spec": item["spec"] | {"selector": {"a": "b"}}}
        )
        await controllers.settle()
        assert [item["endpoints"] for item in slices(registry)] == [
            None
        ]  # the Pods', of which there are none


async def test_failed_writes_are_tried_again() -> None:
    """A Service in a namespace that is going: writes are refused until it is gone."""
    now = [0.0]
    registry = new_registry()
    controllers = Controllers(InProcess(registry), clock=lambda: now[0])
    registry.create(POD, "default", pod("a", "10.0.0.1"))
    namespace = registry.read(NAMESPACE, "", "default")
    async with controllers.following():
        registry.create(SERVICE, "default", service("web"))
        registry.store.put(NAMESPACE, with_end(namespace))
        await controllers.settle()
        assert slices(registry) == []
        registry.store.put(NAMESPACE, namespace | {"metadata": dict(namespace["metadata"])})
        await controllers.settle()
        assert slices(registry) == []  # not yet
        now[0] += 1
        await controllers.settle()
        assert ready_addresses(registry) == ["10.0.0.1"]


def with_end(namespace: Json) -> Json:
    return namespace | {"metadata": namespace["metadata"] | {"deletionTimestamp": "2026-01-01T00:00:00Z"}}


async def test_nodes_give_zones_and_may_be_required() -> None:
    async with controlled(Settings(require_nodes=True)) as (registry, controllers):
        registry.create(SERVICE, "default", service("web"))
        bound = pod("a", "10.0.0.1")
        bound["spec"]["nodeName"] = "n1"
        registry.create(POD, "default", bound)
        await controllers.settle()
        assert ready_addresses(registry) == []
        zone = {"topology.kubernetes.io/zone": "z"}
        registry.create(NODE, "", {"metadata": {"name": "n1", "labels": zone}})
        await controllers.settle()
        (made,) = slices(registry)
        assert [(e["nodeName"], e["zone"]) for e in made["endpoints"]] == [("n1", "z")]


async def test_many_services_and_pods_find_each_other() -> None:
    async with controlled() as (registry, controllers):
        for number in range(60):
            registry.create(SERVICE, "default", service(f"s{number}", selector={"app": f"a{number % 20}"}))
        for number in range(40):
            registry.create(POD, "default", pod(f"p{number}", f"10.0.1.{number + 1}", app=f"a{number % 20}"))
        await controllers.settle()
        sizes = {
            item["metadata"]["labels"]["kubernetes.io/service-name"]: len(item["endpoints"])
            for item in slices(registry)
        }
        assert sizes == {f"s{number}": 2 for number in range(60)}
        for number in range(40):
            registry.delete(POD, "default", f"p{number}", DeleteOptions(grace=0))
        await controllers.settle()
        assert ready_addresses(registry) == []


async def test_a_service_for_1005_pods() -> None:
    """Recorded of a real cluster: 11 slices, ten of them full; 1000 addresses in Endpoints, marked as cut off."""
    async with controlled() as (registry, controllers):
        for number in range(1005):
            registry.create(POD, "default", pod(f"p{number}", f"10.0.{number // 250}.{number % 250 + 1}"))
        registry.create(SERVICE, "default", service("web"))
        await controllers.settle()
        assert sorted(len(item["endpoints"]) for item in slices(registry)) == [5, *[100] * 10]
        (endpoints,) = stored(registry, ENDPOINTS)
        assert [len(subset["addresses"]) for subset in endpoints["subsets"]] == [1000]
        assert endpoints["metadata"]["annotations"]["endpoints.kubernetes.io/over-capacity"] == "truncated"
        for number in range(6):
            registry.delete(POD, "default", f"p{number}", DeleteOptions(grace=0))
        await controllers.settle()
        (endpoints,) = stored(registry, ENDPOINTS)
        assert "endpoints.kubernetes.io/over-capacity" not in endpoints["metadata"].get("annotations", {})
