"""`userproxy endpoints-controller` as a process against an API server that has no controllers."""

from __future__ import annotations

import asyncio
import signal
import sys
from collections.abc import AsyncIterator

import pytest

from tests.dataplane.rig import until
from tests.standalone.conftest import Client, serving
from tests.standalone.controllers.scenes import pod, ready_addresses, service, stored
from userproxy.standalone.deletion import DeleteOptions
from userproxy.standalone.kinds import ENDPOINTS, NODE, POD, SERVICE


@pytest.fixture
async def api() -> AsyncIterator[Client]:
    async with serving() as client:
        yield client


def on_node(made: dict) -> dict:
    made["spec"]["nodeName"] = "n1"
    return made


async def test_slices_follow_pods_and_a_signal_ends_it(api: Client) -> None:
    registry = api.registry
    registry.create(NODE, "", {"metadata": {"name": "n1"}})
    registry.create(POD, "default", on_node(pod("a", "10.0.0.1")))
    registry.create(SERVICE, "default", service("web"))
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        "-m",
        "userproxy",
        "endpoints-controller",
        "--master",
        api.url,
        stderr=asyncio.subprocess.PIPE,
    )
    try:
        await until(lambda: ready_addresses(registry) == ["10.0.0.1"], 20)
        await until(lambda: len(stored(registry, ENDPOINTS)) == 1, 20)
        registry.create(POD, "default", on_node(pod("b", "10.0.0.2")))
        await until(lambda: ready_addresses(registry) == ["10.0.0.1", "10.0.0.2"], 20)
        registry.delete(POD, "default", "a", DeleteOptions(grace=0))
        await until(lambda: ready_addresses(registry) == ["10.0.0.2"], 20)
        process.send_signal(signal.SIGTERM)
        _, errors = await asyncio.wait_for(process.communicate(), 20)
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()
    assert process.returncode == 0, errors.decode()
    assert b"Traceback" not in errors


async def test_a_server_that_is_not_there_is_one_line(unused_port: int) -> None:
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        "-m",
        "userproxy",
        "endpoints-controller",
        "--master",
        f"http://127.0.0.1:{unused_port}",
        stderr=asyncio.subprocess.PIPE,
    )
    _, errors = await asyncio.wait_for(process.communicate(), 30)
    assert process.returncode == 1
    [line] = errors.decode().splitlines()
    assert line.startswith("userproxy: cannot list ")


@pytest.fixture
def unused_port() -> int:
    import socket

    with socket.create_server(("127.0.0.1", 0)) as sock:
        return sock.getsockname()[1]
