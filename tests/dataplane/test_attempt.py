"""One attempt: the short cuts for clients that have spoken, and what failures are called."""

from __future__ import annotations

import errno
import socket

import pytest

from tests.build import key
from tests.dataplane.rig import closed_port, echo, endpoint, receive, rig, send, silent_endpoint, until
from userproxy.core.affinity import AffinityRecords
from userproxy.core.counters import PortCounters
from userproxy.dataplane.attempt import LONGEST_REST, ShortCut, attempt, count_failure
from userproxy.dataplane.relay import CHUNK
from userproxy.dataplane.service_port import Port
from userproxy.model import Address


@pytest.fixture
def port() -> Port:
    return Port(key("web"), AffinityRecords())


def tried(port: Port, endpoint: Address, early: bytes) -> tuple[int, int]:
    """Return errno and bytes sent of one attempt; the socket is there exactly when the attempt has not failed."""
    sock, code, sent = attempt(port, endpoint, early, "")
    assert (sock is not None) is (code in (0, errno.EINPROGRESS))
    if sock is not None:
        sock.close()
    return code, sent


@pytest.mark.parametrize("host", ["127.0.0.1", "::1"])
@pytest.mark.parametrize("size", [5, 5000])
def test_an_endpoint_on_this_node_gets_early_bytes_at_once(port: Port, host: str, size: int) -> None:
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    with socket.create_server((host, 0), family=family) as server:
        address = server.getsockname()[:2]
        sock, code, sent = attempt(port, address, bytes(size), "")
        assert sock is not None
        assert (code, sent) == (0, size)
        assert (sock.getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY) == 1) is (size == 5000)
        accepted, _ = server.accept()
        with accepted:
            assert len(accepted.recv(size, socket.MSG_WAITALL)) == size
        sock.close()


def test_an_endpoint_that_is_not_connected_yet_is_waited_for(port: Port) -> None:
    with silent_endpoint() as silent:
        assert tried(port, silent, b"early") == (errno.EINPROGRESS, -1)
        assert (port.send_at_once.failures, port.send_at_once.rest) == (1, 0)
        assert tried(port, silent, b"early") == (errno.EINPROGRESS, -1)
        assert (port.send_at_once.failures, port.send_at_once.rest) == (2, 2)
        assert tried(port, silent, b"early") == (errno.EINPROGRESS, -1)
        assert (port.send_at_once.failures, port.send_at_once.rest) == (2, 1)


def test_nothing_early_is_not_tried(port: Port) -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        assert tried(port, server.getsockname(), b"") == (errno.EINPROGRESS, -1)
    assert port.send_at_once.failures == 0


def test_a_short_cut_rests_the_longer_the_more_often_it_fails_in_a_row() -> None:
    cut = ShortCut()
    rests = []
    for _ in range(8):
        cut.failed()
        rests.append(cut.rest)
    assert rests == [0, 2, 6, 14, 30, LONGEST_REST, LONGEST_REST, LONGEST_REST]


def test_a_refusal_is_known_at_once(port: Port) -> None:
    assert tried(port, closed_port(), b"early") == (errno.ECONNREFUSED, -1)


def test_names_and_counts_of_failures() -> None:
    counters = PortCounters()
    codes = (errno.ECONNREFUSED, errno.ETIMEDOUT, errno.EHOSTUNREACH, errno.EMFILE)
    names = [count_failure(counters, code) for code in codes]
    assert names == ["connection refused", "no answer in time", "unreachable", "EMFILE"]
    assert (counters.dial_refused, counters.dial_timeout) == (1, 1)
    assert (counters.dial_unreachable, counters.dial_other) == (1, 1)


@pytest.mark.parametrize("size", [1, CHUNK - 1, CHUNK, 5 * CHUNK])
async def test_early_bytes_survive_failed_dials_whole_and_are_counted_once(size: int) -> None:
    data = bytes(range(256)) * (size // 256 + 1)
    async with endpoint(echo) as good, rig(closed_port(), closed_port(), good) as proxy:
        with await proxy.connect() as client:
            await send(client, data[:size])
            client.shutdown(socket.SHUT_WR)
            assert await receive(client) == data[:size]
        await until(lambda: proxy.plane.connections == 0)
        counters = proxy.counters
        assert (counters.bytes_received, counters.bytes_sent) == (size, size)
        assert counters.dial_refused == 2


async def test_early_bytes_wait_for_an_endpoint_that_is_slow_to_connect() -> None:
    with silent_endpoint() as silent:
        async with endpoint(echo) as good, rig(silent, good) as proxy:
            with await proxy.connect() as client:
                await send(client, b"x" * 3000)
                client.shutdown(socket.SHUT_WR)
                assert await receive(client) == b"x" * 3000
