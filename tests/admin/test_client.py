"""Asking an agent over real HTTP: its status, and the words when nobody or somebody else answers."""

from __future__ import annotations

import asyncio
import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from tests.admin.build import LOOPBACK, running, sources
from userproxy.admin.client import AgentClient
from userproxy.admin.metrics import MetricsServer
from userproxy.core.addresses import address_text
from userproxy.core.status import CaptureView, ServiceView
from userproxy.errors import AgentError, UsageError


async def test_the_status_arrives_as_the_agent_made_it() -> None:
    services = [ServiceView("default", f"web-{n}", (), ()) for n in range(2000)]
    served = sources(services=lambda: iter(services), capture=lambda: CaptureView("route"))
    async with running(MetricsServer(LOOPBACK, served)) as server:
        assert server.address is not None
        status = await asyncio.to_thread(AgentClient(address_text(server.address)).status)
    assert status.capture.name == "route"
    assert status.services == tuple(services)


async def test_another_path_is_refused_in_the_servers_words() -> None:
    async with running(MetricsServer(LOOPBACK, sources())) as server:
        assert server.address is not None
        client = AgentClient(address_text(server.address))
        with pytest.raises(AgentError, match="answers 404 to /nothing"):
            await asyncio.to_thread(client.ask, "/nothing", dict)


async def test_what_names_clients_is_refused_with_the_reason() -> None:
    async with running(MetricsServer(LOOPBACK, sources(), live=False)) as server:
        assert server.address is not None
        client = AgentClient(address_text(server.address))
        with pytest.raises(AgentError, match="run it with --live-page on"):
            await asyncio.to_thread(client.ask, "/connections?limit=1", dict)


@contextmanager
def saying(text: bytes) -> Iterator[str]:
    """A server that answers one connection with `text`, whatever it is asked."""

    def answer() -> None:
        connection, _ = listener.accept()
        with connection:
            connection.recv(65536)
            connection.sendall(text)

    with socket.create_server(("127.0.0.1", 0)) as listener:
        thread = threading.Thread(target=answer)
        thread.start()
        try:
            yield address_text(listener.getsockname()[:2])
        finally:
            thread.join(5)


@pytest.mark.parametrize(
    ("text", "says"),
    [
        (b"HTTP/1.0 200 OK\r\n\r\n{}", "is no userproxy of this version"),
        (b"HTTP/1.0 200 OK\r\n\r\nhello", "is no userproxy of this version"),
        (b"SSH-2.0-x\r\n", "does not speak HTTP"),
    ],
)
def test_somebody_else_who_answers_is_named(text: bytes, says: str) -> None:
    with saying(text) as address, pytest.raises(AgentError) as raised:
        AgentClient(address).status()
    assert says in str(raised.value)
    assert address in str(raised.value)


def test_nobody_there() -> None:
    with pytest.raises(AgentError, match=r"no agent answers at 127\.0\.0\.1:9: Connection refused"):
        AgentClient("127.0.0.1:9").status()


def test_a_server_that_says_nothing() -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        address = address_text(listener.getsockname()[:2])
        with pytest.raises(AgentError, match=r"no answer within 0\.05 s"):
            AgentClient(address, 0.05).status()


@pytest.mark.parametrize("text", ["", "nonsense", "127.0.0.1:0"])
def test_what_is_no_address(text: str) -> None:
    with pytest.raises(UsageError, match="--agent"):
        AgentClient(text)
