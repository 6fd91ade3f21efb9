"""Controllers and probes in standalone mode: a Service and its Pods from manifests to their end, over the API."""

from __future__ import annotations

import asyncio
import contextlib
import socket
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import aiohttp
import uvloop

from tests.standalone.probes.test_prober import Server
from userproxy.standalone.session import Standalone

MANIFEST = """
apiVersion: v1
kind: Service
metadata: {name: web}
spec: {selector: {app: web}, ports: [{port: 80, targetPort: http}]}
---
apiVersion: v1
kind: Pod
metadata: {name: web-1, labels: {app: web}}
spec:
  containers:
  - name: web
    ports: [{name: http, containerPort: PORT}]
    readinessProbe: {tcpSocket: {port: http}, periodSeconds: 1, failureThreshold: 1}
status: {phase: Running, podIP: 127.0.0.1}
---
apiVersion: v1
kind: Pod
metadata: {name: web-2, labels: {app: web}}
spec: {containers: [{name: web, ports: [{name: http, containerPort: 9}]}]}
status: {phase: Running, podIP: 127.0.0.2}
"""
SLICES = "/apis/discovery.k8s.io/v1/namespaces/default/endpointslices"
SERVICE = "/api/v1/namespaces/default/services/web"


async def get(session: aiohttp.ClientSession, path: str) -> Any:
    async with session.get(path) as response:
        return await response.json()


async def endpoints(session: aiohttp.ClientSession) -> dict[tuple[str, int], bool]:
    """Ready or not, by address and port."""
    return {
        (endpoint["addresses"][0], item["ports"][0]["port"]): endpoint["conditions"]["ready"]
        for item in (await get(session, SLICES))["items"]
        for endpoint in item["endpoints"] or []
    }


async def until(session: aiohttp.ClientSession, wanted: dict[tuple[str, int], bool]) -> None:
    async with asyncio.timeout(10):
        while await endpoints(session) != wanted:
            await asyncio.sleep(0.02)


@contextlib.asynccontextmanager
async def running(standalone: Standalone) -> AsyncIterator[None]:
    async with asyncio.TaskGroup() as group:
        task = group.create_task(standalone.run(), name="standalone")
        yield
        task.cancel()


async def story(folder: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    (folder / "web.yaml").write_text(MANIFEST.replace("PORT", str(port)))
    standalone = Standalone("127.0.0.1:0", manifests=folder)
    first, second = ("127.0.0.1", port), ("127.0.0.2", 9)
    await standalone.start()
    try:
        async with aiohttp.ClientSession(standalone.url) as session:
            # before anything runs, the slices are there; a Pod is not ready before its first probe
            assert await endpoints(session) == {first: False, second: True}
            async with running(standalone):
                async with Server(port):
                    await until(session, {first: True, second: True})
                await until(session, {first: False, second: True})
                async with Server(port):
                    await until(session, {first: True, second: True})
                    (folder / "web.yaml").unlink()
                    await until(session, {})
                    assert (await get(session, SERVICE))["code"] == 404
                    assert (await get(session, SLICES))["items"] == []
    finally:
        await standalone.stop()


def test_the_story_of_a_service(tmp_path: Path) -> None:
    uvloop.run(story(tmp_path))


async def test_a_start_that_is_not_run_leaves_nothing(tmp_path: Path) -> None:
    standalone = Standalone("127.0.0.1:0", demo=True)
    await standalone.start()
    await standalone.stop()
    await standalone.stop()
