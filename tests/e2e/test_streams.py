"""What TCP promises holds through a ClusterIP: bytes, ends, resets, backpressure, and connections that only wait."""

from __future__ import annotations

import contextlib
import os
import resource
import socket
import struct
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager

import pytest

from tests.e2e.agent import Agent
from tests.e2e.child import Child
from tests.e2e.client import ask
from tests.e2e.scene import FRONTEND, SERVICE, Scene, needs_all, scene
from tests.e2e.waiting import until
from tests.netns import pod_address

pytestmark = needs_all

MIB = 1 << 20
GIB_BLOCKS = 1024
MOST_GROWTH = 10_000_000
ENDLESS = 256 * MIB
"""More than all socket buffers on the way hold together: a proxy that takes so much for nobody's reader has no backpressure."""
IDLE = 5000
IDLE_SECONDS = 2.0


@pytest.fixture(name="made", scope="module")
def _made() -> Iterator[Scene]:
    with scene() as made:
        yield made


@pytest.fixture(name="agent", scope="module")
def _agent(made: Scene) -> Iterator[Agent]:
    with made.agent("--capture", "redirect-nft") as agent:
        yield agent


@pytest.fixture(name="listener")
def _listener(made: Scene, agent: Agent) -> Iterator[socket.socket]:
    """The only endpoint of the Service, in Pod 1, on a port of its own: whoever accepts from it is the server."""
    with made.net.pods[1].entered():
        listener = socket.create_server((pod_address(1), 0))
    with listener:
        listener.settimeout(10)
        port = listener.getsockname()[1]
        made.cluster.put_slice(SERVICE, pod_address(1), port=port)
        until(lambda: _endpoint_ports(agent) == [port])
        yield listener


@pytest.mark.timeout(180)
def test_a_gibibyte_each_way_at_once(made: Scene, listener: socket.socket) -> None:
    program, size, number = "tests.e2e.transfer", str(GIB_BLOCKS), listener.fileno()
    server = Child(made.net.pods[1], program, size, str(number), descriptors=(number,))
    client = Child(made.net.pod, program, size, FRONTEND[0], str(FRONTEND[1]))
    with contextlib.closing(server), contextlib.closing(client):
        at_client, at_server = client.answer(), server.answer()
    assert at_client["sent"][0] == at_server["sent"][0] == GIB_BLOCKS * MIB
    assert at_server["received"] == at_client["sent"]
    assert at_client["received"] == at_server["sent"]


@pytest.mark.parametrize("slow", ["client", "server"])
def test_a_slow_reader_costs_no_memory(slow: str, made: Scene, agent: Agent, listener: socket.socket) -> None:
    with _pair(made, listener) as (client, server):
        stream = Stream(*((client, server) if slow == "client" else (server, client)))
        before = agent.resident_bytes()
        stream.fill()
        assert stream.sent < ENDLESS
        for _ in range(100):
            stream.read(16_384)
            stream.send()
            time.sleep(0.01)
        assert agent.resident_bytes() - before < MOST_GROWTH
        stream.writer.shutdown(socket.SHUT_WR)
        while stream.read(MIB):
            pass
        assert stream.received == stream.sent


def test_a_server_speaks_first(made: Scene, listener: socket.socket) -> None:
    with _pair(made, listener) as (client, server):
        server.sendall(b"220 ready\r\n")
        assert client.recv(100) == b"220 ready\r\n"
        client.sendall(b"QUIT\r\n")
        assert server.recv(100) == b"QUIT\r\n"


@pytest.mark.parametrize("first", ["client", "server"])
def test_half_close(first: str, made: Scene, listener: socket.socket) -> None:
    """Whoever ends first still gets everything that the other has to say."""
    question, answer = os.urandom(100_000), os.urandom(100_000)
    with _pair(made, listener) as (client, server):
        ending, other = (client, server) if first == "client" else (server, client)
        ending.sendall(question)
        ending.shutdown(socket.SHUT_WR)
        assert _read_to_end(other) == question
        time.sleep(0.2)
        other.sendall(answer)
        other.close()
        assert _read_to_end(ending) == answer


@pytest.mark.parametrize("first", ["client", "server"])
def test_reset(first: str, made: Scene, listener: socket.socket) -> None:
    with _pair(made, listener) as (client, server):
        resetting, other = (client, server) if first == "client" else (server, client)
        resetting.sendall(b"so far")
        assert other.recv(100) == b"so far"
        resetting.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        resetting.close()
        with pytest.raises(ConnectionResetError):
            other.recv(100)


def test_idle_connections(made: Scene, agent: Agent) -> None:
    """5,000 of them wait, each still works, others are not held up, and nothing of them stays."""
    made.cluster.put_slice(SERVICE, *made.addresses.values())
    until(lambda: len(_endpoint_ports(agent)) == 3)
    with _many_descriptors(), ExitStack() as stack:
        with made.net.pod.entered():
            waiting = [
                stack.enter_context(socket.create_connection(FRONTEND, timeout=10)) for _ in range(IDLE)
            ]
        assert {sock.recv(10) for sock in waiting} == {b"a\n", b"b\n", b"c\n"}
        until(lambda: agent.metric("userproxy_connections_active", service=SERVICE) == IDLE)
        time.sleep(IDLE_SECONDS)
        with made.net.pod.entered():
            assert ask(*FRONTEND) in "abc"
        for number, sock in enumerate(waiting):
            sock.sendall(b"%d" % number)
        for number, sock in enumerate(waiting):
            assert sock.recv(10) == b"%d" % number
    until(lambda: agent.metric("userproxy_connections_active", service=SERVICE) == 0)


class Stream:
    """A writer that sends whatever is taken at once, and the reader at the other end, who checks each byte."""

    def __init__(self, reader: socket.socket, writer: socket.socket) -> None:
        self.reader = reader
        self.writer = writer
        self.writer.setblocking(False)
        self.sent = self.received = 0
        self._data = os.urandom(MIB)
        self._twice = self._data * 2

    def send(self) -> int:
        """Send what the kernel takes now, return how many bytes that was."""
        try:
            size = self.writer.send(self._data[self.sent % MIB :])
        except BlockingIOError:
            return 0
        self.sent += size
        return size

    def fill(self) -> None:
        """Send until nothing was taken for half a second, or ENDLESS."""
        moved = time.monotonic()
        while time.monotonic() < moved + 0.5 and self.sent < ENDLESS:
            if self.send():
                moved = time.monotonic()
            else:
                time.sleep(0.01)

    def read(self, most: int) -> int:
        """Read up to `most` bytes and compare; return how many, 0 at the end."""
        data = self.reader.recv(most)
        place = self.received % MIB
        assert data == self._twice[place : place + len(data)]
        self.received += len(data)
        return len(data)


@contextmanager
def _pair(made: Scene, listener: socket.socket) -> Iterator[tuple[socket.socket, socket.socket]]:
    """A client in Pod 0 and the server's side of its connection, through the Service."""
    with made.net.pod.entered():
        client = socket.create_connection(FRONTEND, timeout=10)
    with client:
        server, _ = listener.accept()
        with server:
            server.settimeout(10)
            yield client, server


@contextmanager
def _many_descriptors() -> Iterator[None]:
    """Let this process have as many descriptors as it may."""
    before = resource.getrlimit(resource.RLIMIT_NOFILE)
    if before[1] < IDLE + 100:
        pytest.skip(f"needs {IDLE + 100} descriptors for one process, {before[1]} are allowed (ulimit -Hn)")
    resource.setrlimit(resource.RLIMIT_NOFILE, (before[1], before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, before)


def _endpoint_ports(agent: Agent) -> list[int]:
    return [endpoint["port"] for endpoint in agent.port_status(SERVICE)["endpoints"]]


def _read_to_end(sock: socket.socket) -> bytes:
    parts = []
    while data := sock.recv(MIB):
        parts.append(data)
    return b"".join(parts)
