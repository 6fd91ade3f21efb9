"""What is watched: resources, paths and selectors, those of kube-proxy; and how a Cluster begins and ends."""

from __future__ import annotations

import asyncio

import pytest

from tests.kube.faulty_server import FaultyServer
from tests.kube.mirror import QUICK, Mirror, until
from tests.kube.objects import service
from tests.kube.watched import Watched, fill, run_until_done, watched
from userproxy.errors import UsageError
from userproxy.kube.client import USER_AGENT
from userproxy.kube.cluster import Cluster


async def test_rows_1_1_1_and_1_1_3_requests_are_those_of_kube_proxy() -> None:
    async with FaultyServer() as server:
        fill(server)
        async with watched(server) as both:
            await until(both.equal)
        asked = {call.request.path: call.query for call in server.calls}
        selectors = {
            path: (query.get("labelSelector"), query.get("fieldSelector")) for path, query in asked.items()
        }
        assert selectors == {
            "/api/v1/services": ("!service.kubernetes.io/service-proxy-name", "spec.clusterIP!=None"),
            "/apis/discovery.k8s.io/v1/endpointslices": ("!service.kubernetes.io/headless", None),
            "/api/v1/nodes": (None, "metadata.name=node-1"),
        }
        headers = server.calls[0].request.headers
        assert headers["User-Agent"] == USER_AGENT
        assert headers["User-Agent"].startswith("userproxy/")
        assert headers["Accept"] == "application/json"
        assert "Authorization" not in headers


async def test_service_proxy_name_and_no_node() -> None:
    async with FaultyServer() as server:
        fill(server)
        ours = service("ours", "10.96.0.99")
        ours["metadata"]["labels"] = {"service.kubernetes.io/service-proxy-name": "userproxy"}
        server.put("services", ours)
        mirror = Mirror()
        cluster = Cluster("", server.url, "", "userproxy", mirror.deliver, timing=QUICK)
        async with run_until_done(Watched(server, cluster, mirror)):
            await until(lambda: mirror.listed == {"services", "endpointslices"})
            assert [key.name for key in mirror.stores["services"]] == ["ours"]
            [asked] = [call for call in server.calls if call.resource == "services"]
            assert asked.query["labelSelector"] == "service.kubernetes.io/service-proxy-name=userproxy"
            assert [state.resource for state in cluster.watch_states()] == ["services", "endpointslices"]
            # The label goes: it is no longer ours.
            server.put("services", service("ours", "10.96.0.99"))
            await until(lambda: not mirror.stores["services"])


async def test_states_before_anything_was_heard() -> None:
    cluster = Cluster("", "http://127.0.0.1:1", "n", "", Mirror().deliver, timing=QUICK)
    for state in cluster.watch_states():
        assert (state.listed, state.connected, state.last_event, state.objects) == (False, False, None, 0)


@pytest.mark.parametrize("master", ["127.0.0.1:8001", "http//x"])
async def test_bad_master_is_told_before_anything_starts(master: str) -> None:
    cluster = Cluster("", master, "", "", Mirror().deliver, timing=QUICK)
    with pytest.raises(UsageError, match=r"not the URL of a server; write http://HOST:PORT"):
        await cluster.prepare()
    with pytest.raises(UsageError):
        await cluster.run()


async def test_ends_when_cancelled_and_leaves_no_connection() -> None:
    async with FaultyServer() as server:
        fill(server)
        async with watched(server) as both:
            await until(both.equal)
        names = {task.get_name() for task in asyncio.all_tasks()}
        assert not {name for name in names if name.startswith("watch ")}
        assert not any(state.connected for state in both.cluster.watch_states())
        await until(lambda: server.open_requests == 0)
