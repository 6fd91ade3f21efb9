"""Standalone mode as a whole: demo, manifests, addresses, and that nothing is left behind."""

from __future__ import annotations

import asyncio
import os
import socket
from collections.abc import Callable
from pathlib import Path

import aiohttp
import pytest
import uvloop

from userproxy.errors import ListenError, UsageError
from userproxy.standalone.kinds import NODE
from userproxy.standalone.objects import Json
from userproxy.standalone.session import Standalone


async def fetch(url: str) -> str:
    async with aiohttp.ClientSession() as session, session.get(url) as response:
        assert response.status == 200
        return await response.text()


async def demo_story() -> None:
    standalone = Standalone("127.0.0.1:0", demo=True, node_name="here")
    await standalone.start()
    try:
        async with aiohttp.ClientSession(standalone.url) as session:
            async with session.get("/api/v1/namespaces/default/services/my-service") as response:
                spec = (await response.json())["spec"]
            assert (spec["clusterIP"], spec["ports"][0]["port"]) == ("10.96.163.26", 80)
            selector = {"labelSelector": "kubernetes.io/service-name=my-service"}
            path = "/apis/discovery.k8s.io/v1/namespaces/default/endpointslices"
            async with session.get(path, params=selector) as response:
                (found,) = (await response.json())["items"]
            async with session.get("/api/v1/namespaces/default/pods") as response:
                pods = (await response.json())["items"]
            async with session.get("/api/v1/nodes/here") as response:
                assert response.status == 200
        port = found["ports"][0]["port"]
        addresses = [endpoint["addresses"][0] for endpoint in found["endpoints"]]
        answers = [await fetch(f"http://{address}:{port}/any/path") for address in addresses]
        assert answers == [f"Hello from my-pod-{number}\n" for number in (1, 2, 3)]
        assert sorted(pod["status"]["podIP"] for pod in pods) == sorted(addresses)
    finally:
        await standalone.stop()
        await standalone.stop()
    for address in addresses:
        with pytest.raises(ConnectionRefusedError):
            socket.create_connection((address, port), timeout=1)


async def test_the_demo_answers_and_leaves_nothing() -> None:
    await demo_story()


def test_the_demo_on_uvloop() -> None:
    uvloop.run(demo_story())


def test_manifests_are_followed_on_uvloop(tmp_path: Path) -> None:
    body = "apiVersion: v1\nkind: Service\nmetadata: {name: NAME}\nspec: {ports: [{port: 80}]}\n"

    async def story() -> None:
        (tmp_path / "a.yaml").write_text(body.replace("NAME", "a"))
        standalone = Standalone("127.0.0.1:0", manifests=tmp_path)
        await standalone.start()
        try:
            async with asyncio.TaskGroup() as group:
                task = group.create_task(standalone.run(), name="standalone")
                assert '"name":"a"' in await fetch(f"{standalone.url}/api/v1/services")
                (tmp_path / "b.yaml").write_text(body.replace("NAME", "b"))
                async with asyncio.timeout(5):
                    while '"name":"b"' not in await fetch(f"{standalone.url}/api/v1/services"):
                        await asyncio.sleep(0.02)
                task.cancel()
        finally:
            await standalone.stop()

    uvloop.run(story())


async def test_the_node_tells_what_kubectl_divides_by_and_is_brought_up_to_date(tmp_path: Path) -> None:
    async def node(change: Callable[[Json], Json]) -> Json:
        standalone = Standalone("127.0.0.1:0", data_directory=tmp_path, node_name="here")
        await standalone.start()
        try:
            found = standalone.registry.read(NODE, "", "here")
            standalone.registry.change(NODE, "", "here", change, status=True)
            return found["status"]
        finally:
            await standalone.stop()

    def forgotten(item: Json) -> Json:
        return {**item, "status": {**item["status"], "capacity": {}, "allocatable": {}}}

    def declared(item: Json) -> Json:
        return {**item, "status": {"conditions": [{"type": "Ready", "status": "True", "reason": "Mine"}]}}

    told = await node(forgotten)
    assert told["allocatable"] == told["capacity"]
    assert int(told["capacity"]["cpu"]) == os.cpu_count()
    assert told["capacity"]["memory"].endswith("Ki")
    assert told["nodeInfo"]["operatingSystem"] == "linux"
    assert (await node(declared))["capacity"] == told["capacity"]
    assert "capacity" not in await node(declared)


async def test_a_taken_port_is_told_and_nothing_stays_open() -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        standalone = Standalone(f"127.0.0.1:{taken.getsockname()[1]}", demo=True)
        with pytest.raises(
            ListenError, match=r"127.0.0.1:\d+: Address already in use; another program listens there"
        ):
            await standalone.start()
        await standalone.stop()


async def test_a_broken_manifest_stops_nothing(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    (tmp_path / "a.yaml").write_text("kind: Service\n")
    standalone = Standalone("127.0.0.1:0", manifests=tmp_path, demo=True)
    await standalone.start()
    try:
        assert "my-service" in await fetch(f"{standalone.url}/api/v1/services")
    finally:
        await standalone.stop()
    assert [text for text in caplog.messages if "a.yaml:1: " in text and "correct the file" in text]


@pytest.mark.parametrize(
    "cidr", ["", "10.96.0.0", "10.96.0.0/31", "10.96.0.1/16", "10.0.0.0/16,10.1.0.0/16", "x/8"]
)
def test_bad_service_ranges_are_usage_errors(cidr: str) -> None:
    with pytest.raises(UsageError, match="service range"):
        Standalone(service_cidr=cidr)


async def test_the_demo_fits_into_another_range() -> None:
    standalone = Standalone("127.0.0.1:0", demo=True, service_cidr="127.96.0.0/16")
    await standalone.start()
    try:
        assert '"clusterIP":"127.96.' in await fetch(f"{standalone.url}/api/v1/services")
    finally:
        await standalone.stop()
