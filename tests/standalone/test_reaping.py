"""Deleted Pods: terminating for their grace, then gone."""

from __future__ import annotations

import asyncio
from typing import Any

from tests.standalone.conftest import Client
from userproxy.standalone.reaping import PodReaper

PODS = "/api/v1/namespaces/default/pods"


def pod(name: str, **spec: Any) -> dict[str, Any]:
    return {
        "metadata": {"name": name},
        "spec": {"containers": [{"name": "c"}], **spec},
        "status": {"phase": "Running", "podIP": "127.0.0.9"},
    }


async def gone(api: Client, name: str) -> bool:
    return (await api.call("GET", f"{PODS}/{name}"))[0] == 404


async def test_pods_without_a_node_go_at_once(api: Client) -> None:
    await api.ok("POST", PODS, pod("a"))
    await api.ok("DELETE", f"{PODS}/a")
    assert await gone(api, "a")


async def test_bound_pods_are_terminating_until_their_grace_is_over(api: Client) -> None:
    await api.ok("POST", PODS, pod("a", nodeName="n", terminationGracePeriodSeconds=1))
    async with asyncio.TaskGroup() as group:
        task = group.create_task(PodReaper(api.registry).run(), name="reaper")
        await asyncio.sleep(0)
        marked = await api.ok("DELETE", f"{PODS}/a")
        assert marked["metadata"]["deletionGracePeriodSeconds"] == 1
        assert not await gone(api, "a")
        async with asyncio.timeout(5):
            while not await gone(api, "a"):
                await asyncio.sleep(0.05)
        task.cancel()


async def test_grace_zero_does_not_wait(api: Client) -> None:
    await api.ok("POST", PODS, pod("a", nodeName="n"))
    await api.ok("DELETE", f"{PODS}/a")
    assert not await gone(api, "a")
    await api.ok("DELETE", f"{PODS}/a?gracePeriodSeconds=0")
    assert await gone(api, "a")


async def test_a_running_pod_without_a_probe_is_ready(api: Client) -> None:
    made = await api.ok("POST", PODS, pod("a"))
    assert [(c["type"], c["status"]) for c in made["status"]["conditions"]] == [("Ready", "True")]
    probed = pod("b", containers=[{"name": "c", "readinessProbe": {"tcpSocket": {"port": 1}}}])
    assert "conditions" not in (await api.ok("POST", PODS, probed))["status"]
