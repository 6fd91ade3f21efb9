"""The metrics server over real HTTP: routes, methods, formats, foreign Host headers and the turn-taking of long answers.

Values of metrics are test_exporter's matter; here one is enough to know that they arrive.
"""

from __future__ import annotations

import asyncio
import gzip
import json
import socket
import time
from collections.abc import Iterator
from contextlib import ExitStack

import msgspec
import pytest
import uvloop
from prometheus_client.openmetrics.parser import text_string_to_metric_families as parse_openmetrics
from prometheus_client.parser import text_string_to_metric_families as parse_text

from tests.admin.build import LOOPBACK, ask, busy_ports, running, sources
from userproxy.admin.metrics import MetricsServer
from userproxy.core.addresses import BindAddress
from userproxy.core.status import CaptureView, ServiceView, StatusView
from userproxy.errors import ListenError

PATHS = ["/metrics", "/proxyMode", "/status", "/healthz"]


def values(text: str) -> dict[str, float]:
    return {
        one.labels["service"]: one.value
        for metric in parse_text(text)
        for one in metric.samples
        if one.name == "userproxy_connections_accepted_total"
    }


async def test_metrics_in_the_plain_format() -> None:
    async with running(MetricsServer(LOOPBACK, sources(counters=lambda: busy_ports(3)))) as server:
        answer = await ask(server, "/metrics")
    assert answer.status == 200
    assert answer.headers["content-type"] == "text/plain; version=0.0.4; charset=utf-8"
    assert values(answer.text) == {"service-0": 1, "service-1": 2, "service-2": 3}
    names = {metric.name for metric in parse_text(answer.text)}
    assert {"process_resident_memory_bytes", "process_open_fds", "kubeproxy_proxy_healthz"} <= names


async def test_metrics_in_openmetrics() -> None:
    accept = [("Accept", "application/openmetrics-text;version=1.0.0,text/plain;version=0.0.4;q=0.5")]
    async with running(MetricsServer(LOOPBACK, sources(counters=lambda: busy_ports(3)))) as server:
        answer = await ask(server, "/metrics", headers=accept)
    assert answer.headers["content-type"].startswith("application/openmetrics-text; version=1.0.0")
    assert "userproxy_connections_accepted" in {metric.name for metric in parse_openmetrics(answer.text)}


async def test_metrics_compressed_as_prometheus_asks() -> None:
    async with running(MetricsServer(LOOPBACK, sources(counters=lambda: busy_ports(200)))) as server:
        answer = await ask(server, "/metrics", headers=[("Accept-Encoding", "gzip")])
    assert answer.headers["content-encoding"] == "gzip"
    assert len(values(gzip.decompress(answer.body).decode())) == 200


async def test_metrics_for_a_client_of_http_1_0() -> None:
    async with running(MetricsServer(LOOPBACK, sources(counters=lambda: busy_ports(100)))) as server:
        assert server.address is not None
        reader, writer = await asyncio.open_connection(*server.address)
        writer.write(b"GET /metrics HTTP/1.0\r\n\r\n")
        found = await reader.read(-1)
        writer.close()
        await writer.wait_closed()
    head, _, body = found.partition(b"\r\n\r\n")
    assert b" 200 " in head.splitlines()[0]
    assert b"chunked" not in head
    assert len(values(body.decode())) == 100


async def test_proxy_mode_is_the_capture_in_use() -> None:
    mode = "route"
    async with running(MetricsServer(LOOPBACK, sources(capture=lambda: CaptureView(mode)))) as server:
        answer = await ask(server, "/proxyMode")
        assert (answer.status, answer.text) == (200, "route")
        assert answer.headers["content-type"] == "text/plain; charset=utf-8"
        assert answer.headers["x-content-type-options"] == "nosniff"
        mode = "redirect"
        assert (await ask(server, "/proxyMode")).text == "redirect"


async def test_healthz_is_a_plain_ok() -> None:
    async with running(MetricsServer(LOOPBACK, sources())) as server:
        answer = await ask(server, "/healthz")
    assert (answer.status, answer.text) == (200, "ok")


async def test_status_is_json() -> None:
    services = [ServiceView("default", f"s-{n}", (), ()) for n in range(3)]
    async with running(MetricsServer(LOOPBACK, sources(services=lambda: services))) as server:
        answer = await ask(server, "/status")
    assert answer.status == 200
    assert answer.headers["content-type"] == "application/json"
    assert [one["name"] for one in json.loads(answer.body)["services"]] == ["s-0", "s-1", "s-2"]
    assert list(msgspec.json.decode(answer.body, type=StatusView).services) == services


@pytest.mark.parametrize("path", PATHS)
async def test_head_gives_the_headers_of_get(path: str) -> None:
    async with running(MetricsServer(LOOPBACK, sources())) as server:
        get, head = await ask(server, path), await ask(server, path, "HEAD")
    assert (head.status, head.body) == (200, b"")
    assert head.headers["content-type"] == get.headers["content-type"]


@pytest.mark.parametrize("path", PATHS)
@pytest.mark.parametrize("method", ["POST", "PUT", "DELETE", "OPTIONS", "PATCH"])
async def test_nothing_but_get_and_head(path: str, method: str) -> None:
    async with running(MetricsServer(LOOPBACK, sources())) as server:
        answer = await ask(server, path, method, body=b"x" * 100_000)
    assert answer.status == 405
    assert answer.headers["allow"] == "GET, HEAD"


@pytest.mark.parametrize(
    "path", ["/index.html", "/metrics/", "/livez", "/readyz", "/configz", "/debug/pprof/"]
)
async def test_other_paths_are_404_and_name_what_there_is(path: str) -> None:
    async with running(MetricsServer(LOOPBACK, sources())) as server:
        answer = await ask(server, path)
    assert answer.status == 404
    assert "/status" in answer.text


@pytest.mark.parametrize("path", PATHS)
async def test_a_foreign_host_header_is_refused_on_loopback(path: str) -> None:
    async with running(MetricsServer(LOOPBACK, sources())) as server:
        for host in ("evil.example:10249", "localhost.evil.example", ""):
            assert (await ask(server, path, headers=[("Host", host)])).status == 403
        for host in ("localhost:10249", "127.0.0.1", "[::1]:10249"):
            assert (await ask(server, path, headers=[("Host", host)])).status == 200


async def test_names_are_fine_when_not_bound_to_loopback() -> None:
    async with running(MetricsServer(BindAddress("0.0.0.0", 0), sources())) as server:
        assert (await ask(server, "/healthz", headers=[("Host", "node-7.example")])).status == 200


async def test_a_failing_source_is_500_and_the_next_answer_is_good(caplog: pytest.LogCaptureFixture) -> None:
    broken = True

    def capture() -> CaptureView:
        if broken:
            raise RuntimeError("a bug")
        return CaptureView("none")

    async with running(MetricsServer(LOOPBACK, sources(capture=capture))) as server:
        assert (await ask(server, "/proxyMode")).status == 500
        assert (await ask(server, "/status")).status == 500
        broken = False
        assert (await ask(server, "/proxyMode")).status == 200
    assert "a bug" in caplog.text


async def test_bind_errors_name_the_setting() -> None:
    async with running(MetricsServer(LOOPBACK, sources())) as server:
        assert server.address is not None
        with pytest.raises(ListenError, match=r"^--metrics-bind-address: cannot listen on 127\.0\.0\.1:"):
            await MetricsServer(BindAddress(*server.address), sources()).start()


async def test_disabled_by_an_empty_address() -> None:
    async with running(MetricsServer(None, sources())) as server:
        assert server.address is None


async def test_the_loop_turns_between_pieces_however_many_clients_ask() -> None:
    """At most one piece is made in one turn of the event loop, over all clients."""
    made_in_turn: list[int] = [0]

    def services() -> Iterator[ServiceView]:
        for n in range(200):
            made_in_turn[-1] += 1
            # Larger than a piece, so that each Service is a piece of its own.
            yield ServiceView("default", f"s-{n}", (), ("x" * 17_000,))

    async def count_turns() -> None:
        while True:
            await asyncio.sleep(0)
            made_in_turn.append(0)

    async with (
        running(MetricsServer(LOOPBACK, sources(services=services))) as server,
        asyncio.TaskGroup() as group,
    ):
        turns = group.create_task(count_turns(), name="turns")
        answers = await asyncio.gather(*(ask(server, "/status") for _ in range(4)))
        turns.cancel()
    assert [len(json.loads(answer.body)["services"]) for answer in answers] == [200] * 4
    assert sum(made_in_turn) == 800
    assert max(made_in_turn) == 1


async def test_slow_readers_hold_up_nobody() -> None:
    services = [ServiceView("default", f"s-{n}", (), ("x" * 20_000,)) for n in range(500)]
    async with running(MetricsServer(LOOPBACK, sources(services=lambda: services))) as server:
        assert server.address is not None
        with ExitStack() as stack:
            for _ in range(20):
                slow = stack.enter_context(socket.create_connection(server.address, timeout=10))
                slow.sendall(b"GET /status HTTP/1.1\r\nHost: localhost\r\n\r\n")
            await asyncio.sleep(0.2)
            began = time.monotonic()
            assert (await ask(server, "/healthz")).text == "ok"
            assert len(json.loads((await ask(server, "/status")).body)["services"]) == 500
            assert time.monotonic() - began < 10


def test_it_serves_under_uvloop() -> None:
    async def main() -> None:
        async with running(MetricsServer(LOOPBACK, sources(counters=lambda: busy_ports(100)))) as server:
            answers = await asyncio.gather(*(ask(server, "/metrics") for _ in range(8)))
            assert [len(values(answer.text)) for answer in answers] == [100] * 8

    uvloop.run(main())
