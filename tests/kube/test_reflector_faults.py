"""Whatever server and network do, the store ends up equal to the server's."""

from __future__ import annotations

import asyncio
import logging

import msgspec
import pytest
from aiohttp import web

from tests.kube import faults
from tests.kube.faulty_server import Call, Fault, FaultyServer
from tests.kube.mirror import PATIENT, QUICK, until
from tests.kube.objects import service
from tests.kube.watched import LOOPS, change, run, watched
from userproxy.kube.timing import WatchTiming
from userproxy.model import ServiceName

each_loop = pytest.mark.parametrize("loop", LOOPS)


@each_loop
@pytest.mark.parametrize("fault", faults.WATCH_FAULTS.values(), ids=faults.WATCH_FAULTS.keys())
def test_fault_of_a_running_watch(loop: str, fault: Fault) -> None:
    """The stream is cut, and the watch that follows meets the fault while the server changes."""

    async def test(server: FaultyServer) -> None:
        async with watched(server) as both:
            await until(both.equal)
            server.inject("watch", fault)
            await server.stop()
            change(server)
            await server.start()
            await both.settle()
            assert both.restarts()

    run(loop, test)


@each_loop
@pytest.mark.parametrize("fault", faults.WATCH_FAULTS.values(), ids=faults.WATCH_FAULTS.keys())
def test_fault_of_a_streaming_list(loop: str, fault: Fault) -> None:
    async def test(server: FaultyServer) -> None:
        server.inject("stream-list", fault, fault)
        async with watched(server) as both:
            await until(lambda: len(server.calls) > 3)
            change(server)
            await both.settle()

    run(loop, test)


@pytest.mark.parametrize("fault", faults.LIST_FAULTS.values(), ids=faults.LIST_FAULTS.keys())
def test_fault_of_a_plain_list(fault: Fault) -> None:
    async def test(server: FaultyServer) -> None:
        server.inject("stream-list", *[faults.refused_422] * 3)
        server.inject("list", fault, fault)
        async with watched(server) as both:
            await until(lambda: len(server.calls) > 6)
            change(server)
            await both.settle()

    run("uvloop", test)


def test_watch_expired_twice() -> None:
    """410 for the watch, and for the streaming list that follows at once as well; what vanished meanwhile is removed."""

    async def test(server: FaultyServer) -> None:
        async with watched(server) as both:
            await until(both.equal)
            await server.stop()
            change(server)
            server.compact()
            server.inject("stream-list", *[faults.gone_in_stream] * 3)
            server.inject("list", *[faults.gone_410] * 3)
            await server.start()
            await both.settle()
            assert both.restarts()["expired"] >= 2
            assert ServiceName("default", "web-2") not in both.mirror.stores["services"]

    run("uvloop", test)


@pytest.mark.parametrize("relist", [faults.gone_410, faults.gone_in_stream])
def test_expired_watch_relists_once_and_tells_only_the_difference(relist: Fault) -> None:
    async def test(server: FaultyServer) -> None:
        async with watched(server, PATIENT) as both:
            await until(both.equal)
            server.inject("watch", relist, relist, relist)
            await server.stop()
            server.put("services", service("web-5", "10.96.0.6", ports=[{"port": 99}]))
            await server.start()
            await until(lambda: both.equal() and all(state.relists for state in both.cluster.watch_states()))
            last = [batch for batch in both.mirror.batches if batch.resource == "services"][-1]
            assert [item.key.name for item in last.changed] == ["web-5"]
            assert last.removed == ()
            assert last.listed
            assert both.state().relists == 1
            await both.settle()

    run("uvloop", test)


def test_version_from_the_future_is_given_up() -> None:
    """A server set back to an older state is silent for a version that it does not have yet; then a list is needed."""

    async def test(server: FaultyServer) -> None:
        async with watched(server, msgspec.structs.replace(QUICK, read=1.5)) as both:
            await until(both.equal)
            await server.stop()
            server.know_streaming_list = False
            server.inject("watch", *[faults.silence] * 3)
            server.version = 3
            server.objects["services"].clear()
            server.compact()
            await server.start()
            server.put("services", service("restored", "10.96.0.200"))
            await both.settle()
            assert both.restarts()["stalled"] == 1

    run("uvloop", test)


def test_stalled_stream_is_noticed_and_resumed_without_a_list() -> None:
    async def test(server: FaultyServer) -> None:
        async with watched(server) as both:
            await until(both.equal)
            server.bookmark_period = 60
            change(server)
            await until(lambda: both.restarts().get("stalled", 0) >= 1)
            assert both.equal()
            assert both.state().relists == 0
            server.bookmark_period = 0.05
            await both.settle()

    run("uvloop", test)


def test_shuffled_burst_cut_in_it() -> None:
    """The version to go on from is the end mark's; those of the burst, high or low, count for nothing."""

    async def test(server: FaultyServer) -> None:
        server.inject("stream-list", *[faults.shuffled_burst_cut] * 3)
        async with watched(server, PATIENT) as both:
            await until(both.equal)
            change(server)
            await both.settle()
            assert [batch for batch in both.mirror.batches if not batch.listed], "changes came by watch"
            resumed = [call.query["resourceVersion"] for call in server.calls if call.verb == "watch"]
            assert all(int(version) >= 14 for version in resumed), "14 is the server's version after filling"

    run("uvloop", test)


def test_shuffled_burst_in_pieces() -> None:
    async def test(server: FaultyServer) -> None:
        server.inject("stream-list", *[faults.shuffled_burst] * 3)
        async with watched(server, PATIENT) as both:
            await both.settle()
            assert {call.verb for call in server.calls} == {"stream-list"}
            first = next(batch for batch in both.mirror.batches if batch.resource == "services")
            assert first.listed
            assert len(first.changed) == 6, "the whole burst is one batch"

    run("uvloop", test)


@pytest.mark.parametrize("timing", [PATIENT, QUICK])
def test_late_mark_of_the_end(timing: WatchTiming) -> None:
    """Waited for when it comes in time; else a plain list replaces it."""

    async def test(server: FaultyServer) -> None:
        server.inject("stream-list", *[faults.late_end(0.4)] * 3)
        async with watched(server, timing) as both:
            await until(lambda: len(server.calls) == 3)
            change(server)
            await both.settle()
            plain = "list" in {call.verb for call in server.calls}
            assert plain == (timing is QUICK)

    run("uvloop", test)


@pytest.mark.parametrize("empty", [False, True])
def test_server_that_ignores_send_initial_events(empty: bool) -> None:
    """Such a server never marks the end; its bookmarks, or its silence, tell."""

    async def test(server: FaultyServer) -> None:
        server.know_streaming_list = False
        if empty:
            server.bookmark_period = 60
            for name in list(server.objects["services"]):
                server.delete("services", *name)
        async with watched(server) as both:
            await until(both.equal)
            server.bookmark_period = 0.05
            await both.settle()
            assert [call.verb for call in server.calls].count("stream-list") == 3

    run("uvloop", test)


def test_too_many_requests_waits_as_told() -> None:
    async def test(server: FaultyServer) -> None:
        server.inject("stream-list", *[faults.too_many_429] * 3)
        async with watched(server, PATIENT) as both:
            await until(lambda: len(server.calls) == 3)
            began = asyncio.get_running_loop().time()
            await both.settle()
            assert asyncio.get_running_loop().time() - began > 0.9, "Retry-After: 1"
            assert both.restarts() == {"http_429": 1}
            assert [call.verb for call in server.calls] == ["stream-list"] * 6

    run("uvloop", test)


def test_server_killed_and_restarted_meanwhile_changed(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO, "userproxy.kube")

    async def test(server: FaultyServer) -> None:
        async with watched(server, PATIENT) as both:
            await until(both.equal)
            before = {name: dict(store) for name, store in both.mirror.stores.items()}
            await server.stop()
            await until(lambda: both.restarts().get("refused", 0) >= 5)
            assert both.mirror.stores == before, "what was last known stays in use"
            assert not both.state().connected
            assert "connection refused" in both.state().last_error
            change(server)
            await server.start()
            await both.settle()
            assert both.state().relists == 0, "the version was still good"
            assert both.state().last_error == ""

    run("uvloop", test)
    said = [record.getMessage() for record in caplog.records if "connection refused" in record.getMessage()]
    assert len(said) == 3, "once for each watch, not once for each try"
    assert said[0].endswith("trying again, the last known state stays in use")
    assert [
        record.getMessage()
        for record in caplog.records
        if record.getMessage() == "watch of services works again"
    ]


def test_missing_right_is_said(caplog: pytest.LogCaptureFixture) -> None:
    async def test(server: FaultyServer) -> None:
        server.inject("stream-list", *[faults.forbidden_403] * 6)
        async with watched(server) as both:
            await until(lambda: bool(both.state().last_error))
            assert "no right to watch services" in both.state().last_error
            assert "system:node-proxier" in both.state().last_error
            await both.settle()

    run("uvloop", test)
    assert any("no right to watch services" in record.getMessage() for record in caplog.records)


def test_streaming_lists_that_always_break_off_give_way_to_a_plain_list() -> None:
    async def test(server: FaultyServer) -> None:
        server.inject("stream-list", *[faults.error_500_in_stream] * 300)
        async with watched(server, PATIENT) as both:
            await until(both.equal)
            assert [call.verb for call in server.calls].count("stream-list") == 3
            server.faults.clear()
            await both.settle()

    run("uvloop", test)


def test_object_too_large_for_a_line_is_taken_from_a_list() -> None:
    """No line may be longer than 16 MiB, whether of a list or of a change; the object still arrives, by a plain list."""

    async def test(server: FaultyServer) -> None:
        huge = service("huge", "10.96.0.90")
        huge["metadata"]["annotations"] = {"padding": "x" * 17_000_000}
        server.put("services", huge)
        # 17 MB take the server a while on a busy machine.
        async with watched(server, PATIENT) as both:
            await until(both.equal, 20)
            server.put("services", {**huge, "spec": service("huge", "10.96.0.91")["spec"]})
            await until(both.equal, 20)
            assert both.service("huge").cluster_ips == ("10.96.0.91",)
            assert both.restarts()["line_too_long"] >= 2
            assert both.state().relists >= 1
            server.delete("services", "default", "huge")
            await until(lambda: both.state().relists >= 2, 20)
            await both.settle()

    run("uvloop", test)


def test_list_from_an_expired_version_is_asked_again_for_the_newest() -> None:
    async def expired(server: FaultyServer, call: Call) -> web.StreamResponse | None:
        server.inject("list", expired)
        return await faults.gone_410(server, call) if call.query.get("resourceVersion") else None

    async def test(server: FaultyServer) -> None:
        server.know_streaming_list = False
        server.inject("list", expired)
        async with watched(server, PATIENT) as both:
            await until(both.equal)
            assert service_lists(server) == ["0", None]

    run("uvloop", test)


def service_lists(server: FaultyServer) -> list[str | None]:
    """Return the version that each plain list of Services asked for."""
    calls = [call for call in server.calls if call.verb == "list" and call.resource == "services"]
    return [call.query.get("resourceVersion") for call in calls]


@pytest.mark.parametrize(
    ("verb", "fault", "reason"),
    [
        ("watch", faults.half_a_line, "cut"),
        ("stream-list", faults.half_a_burst, "cut"),
        ("watch", faults.ends_at_once, "ended_at_once"),
        ("watch", faults.truncated_line, "cut"),
        ("watch", faults.garbage_line, "bad_line"),
        ("watch", faults.text_503, "http_503"),
        ("watch", faults.silence_before_header, "timeout"),
    ],
)
def test_failures_are_counted_by_reason(verb: str, fault: Fault, reason: str) -> None:
    async def test(server: FaultyServer) -> None:
        server.inject(verb, *[fault] * 9)
        async with watched(server) as both:
            if verb == "watch":
                await until(both.equal)
                await server.stop()
                await server.start()
            await until(lambda: both.restarts().get(reason, 0) >= 1)
            server.faults.clear()
            await both.settle()

    run("uvloop", test)
