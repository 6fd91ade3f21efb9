"""The store follows the server, and every change delivered is a real one."""

from __future__ import annotations

import asyncio

import pytest
from aiohttp import web

from tests.kube import faults
from tests.kube.faulty_server import Call, FaultyServer
from tests.kube.mirror import PATIENT, until
from tests.kube.objects import endpoint_slice, service
from tests.kube.watched import LOOPS, change, fill, run, watched
from userproxy.model import ServiceName

each_loop = pytest.mark.parametrize("loop", LOOPS)


@each_loop
def test_follows_the_server(loop: str) -> None:
    async def test(server: FaultyServer) -> None:
        async with watched(server, PATIENT) as both:
            await until(both.equal)
            for _ in range(5):
                change(server)
                await until(both.equal)
                fill(server)
                await until(both.equal)
            assert both.restarts() == {}
            assert [call.verb for call in server.calls] == ["stream-list"] * 3
            state = both.state()
            assert state.connected
            assert state.listed
            assert state.relists == 0
            assert state.last_error == ""
            assert state.objects == len(both.mirror.stores["services"])
            assert state.last_event is not None
            await both.settle()

    run(loop, test)


def many_pages(server: FaultyServer) -> None:
    """36 Services in pages of 10, on a server without streaming lists."""
    for number in range(30):
        server.put("services", service(f"many-{number}", f"10.96.1.{number + 1}"))
    server.page_limit = 10
    server.inject("stream-list", *[faults.refused_422] * 3)


def service_lists(server: FaultyServer) -> list[tuple[bool, str | None, str | None]]:
    """Return whether each list of Services continued another, its limit and its version."""
    queries = [call.query for call in server.calls if call.verb == "list" and call.resource == "services"]
    return [("continue" in query, query.get("limit"), query.get("resourceVersion")) for query in queries]


def test_list_in_pages() -> None:
    async def test(server: FaultyServer) -> None:
        many_pages(server)
        async with watched(server, PATIENT) as both:
            await both.settle()
            assert service_lists(server) == [(False, "500", "0")] + [(True, "500", None)] * 3

    run("uvloop", test)


def test_expired_page_leads_to_one_full_list() -> None:
    async def expire(server: FaultyServer, call: Call) -> None:
        if "continue" in call.query:
            server.delete("services", "default", "many-7")
            server.compact()
        else:
            server.inject("list", expire)

    async def test(server: FaultyServer) -> None:
        many_pages(server)
        server.inject("list", expire)
        async with watched(server, PATIENT) as both:
            await both.settle()
            assert service_lists(server) == [(False, "500", "0"), (True, "500", None), (False, None, None)]
            assert ServiceName("default", "many-7") not in both.mirror.stores["services"]

    run("uvloop", test)


def test_unreadable_object_is_skipped_named_and_counted(caplog: pytest.LogCaptureFixture) -> None:
    """The object's last readable form stays, also over a new list; nothing else is touched, and the stream goes on."""

    async def test(server: FaultyServer) -> None:
        async with watched(server, PATIENT) as both:
            await until(both.equal)
            good = both.service("web-0")
            server.put("services", service("web-0", "10.96.0.1", ports=[{"port": "eighty"}]))
            server.put("services", service("web-1", "10.96.0.2", ports=[{"port": 82}]))
            await until(lambda: both.state().decode_errors == 1)
            await until(lambda: both.service("web-1").ports[0].port == 82)
            assert both.restarts() == {}
            server.inject("watch", faults.gone_410, faults.gone_410, faults.gone_410)
            await server.stop()
            await server.start()
            await until(lambda: both.state().relists == 1)
            assert both.service("web-0") == good
            assert both.state().decode_errors == 2
            server.put("services", service("web-0", "10.96.0.1", ports=[{"port": 83}]))
            await both.settle()

    run("uvloop", test)
    named = [record.getMessage() for record in caplog.records if "web-0" in record.getMessage()]
    assert named == [
        "Service default/web-0 cannot be read: field spec.ports[0].port: Expected int, got str; object skipped"
    ]


def test_unreadable_object_that_is_deleted_goes() -> None:
    async def test(server: FaultyServer) -> None:
        async with watched(server, PATIENT) as both:
            await until(both.equal)
            server.put("services", service("web-0", "10.96.0.1", ports=[{"port": "eighty"}]))
            server.delete("services", "default", "web-0")
            await both.settle()

    run("uvloop", test)


def test_warnings_are_said_once(caplog: pytest.LogCaptureFixture) -> None:
    async def test(server: FaultyServer) -> None:
        async with watched(server, PATIENT) as both:
            for port in (8080, 8081, 8082):
                server.put(
                    "endpointslices",
                    endpoint_slice("web-0-abc", "web-0", "172.30.0.041", "10.1.0.1", port=port),
                )
                await until(both.equal)

    run("uvloop", test)
    assert [record.getMessage() for record in caplog.records if "041" in record.getMessage()] == [
        'EndpointSlice default/web-0-abc: endpoint address "172.30.0.041" is not a valid IPv4 address; endpoint skipped'
    ]


@pytest.mark.parametrize("verb", ["stream-list", "list"])
def test_refused_field_selector_is_dropped(verb: str) -> None:
    """Older servers do not know spec.clusterIP!=None; headless Services are then left out by us."""

    async def test(server: FaultyServer) -> None:
        server.refused_field_selectors = {"spec.clusterIP!=None"}
        server.put("services", service("headless", "None"))
        if verb == "list":
            server.inject("stream-list", *[faults.refused_422] * 3)
        async with watched(server, PATIENT) as both:
            await both.settle()
            services = [call for call in server.calls if call.resource == "services" and call.verb == verb]
            assert [call.query.get("fieldSelector") for call in services] == ["spec.clusterIP!=None", None]

    run("uvloop", test)


def test_events_of_one_read_are_one_batch() -> None:
    async def test(server: FaultyServer) -> None:
        async with watched(server, PATIENT) as both:
            await until(both.equal)
            both.mirror.batches.clear()
            change(server)
            await until(both.equal)
            services = [batch for batch in both.mirror.batches if batch.resource == "services"]
            assert len(services) == 1
            assert {item.key.name for item in services[0].changed} == {"web-0", "new"}
            assert {key.name for key in services[0].removed} == {"web-2", "web-3"}

    run("uvloop", test)


def test_server_ends_watches_in_time_and_nothing_is_lost() -> None:
    """timeoutSeconds is asked for, and a stream that the server ends is taken up again without pause or list."""

    async def test(server: FaultyServer) -> None:
        async def short(server: FaultyServer, call: Call) -> web.StreamResponse:
            response = await call.open_stream()
            since = int(call.query["resourceVersion"])
            await server.follow(call, response, since, asyncio.get_running_loop().time() + 0.05)
            return response

        async with watched(server, PATIENT) as both:
            await until(both.equal)
            server.inject("watch", *[short] * 30)
            await server.stop()
            await server.start()
            for port in range(8100, 8130):
                server.put("endpointslices", endpoint_slice("web-0-abc", "web-0", "10.1.0.1", port=port))
                await asyncio.sleep(0.01)
            await both.settle()
            assert both.restarts("endpointslices")["ended"] > 3
            assert both.state("endpointslices").relists == 0
            assert all(20 <= int(call.query["timeoutSeconds"]) <= 30 for call in server.calls)

    run("uvloop", test)
