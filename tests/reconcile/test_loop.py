"""The reconcile loop with a real data plane: order of steps, retries, repair, what is recorded.

The capture is that of `tests.reconcile.rig`; tests/e2e runs everything together.
"""

from __future__ import annotations

import asyncio
import contextlib
import socket
import time

import pytest
from msgspec import structs

from tests.build import endpoint_slice, key, name, service, services, slices
from tests.dataplane.rig import until
from tests.reconcile.rig import accepts, running
from userproxy.api_objects import Changes, Node, Service, ServiceSpecPort
from userproxy.model import Endpoint, PortOptions
from userproxy.reconcile import captured, retries

WEB = services(service("web"))
WEB_UP = slices(endpoint_slice("web-1", "web", "127.0.0.1", ports={"": 9}))


async def test_row_1_1_8_nothing_is_programmed_before_both_lists_are_complete() -> None:
    async with running() as loop:
        loop.reconciler.feed(WEB)
        await asyncio.sleep(0.1)
        assert loop.capture.entries == {}
        assert not loop.reconciler.ready.is_set()
        loop.reconciler.feed(WEB_UP)
        await asyncio.wait_for(loop.reconciler.ready.wait(), 5)
        [entry] = loop.capture.entries.values()
        assert str(entry.frontend) == "10.96.0.10:80"


async def test_while_lists_are_awaited_nothing_is_done_again_and_again(monkeypatch) -> None:
    """A look at the kernel is overdue meanwhile; the loop took all of a core until the API server answered."""
    monkeypatch.setattr(captured, "REPAIR_SECONDS", 0.01)
    asked: list[float] = []

    def clock() -> float:
        asked.append(time.monotonic())
        return asked[-1]

    async with running(clock=clock) as loop:
        loop.reconciler.feed(WEB)
        await asyncio.sleep(0.1)
        before = len(asked)
        await asyncio.sleep(0.3)
        assert len(asked) == before
        loop.reconciler.feed(WEB_UP)
        await asyncio.wait_for(loop.reconciler.ready.wait(), 5)


async def test_ready_comes_for_an_empty_cluster_too() -> None:
    async with running() as loop:
        loop.reconciler.feed(services())
        loop.reconciler.feed(slices())
        await asyncio.wait_for(loop.reconciler.ready.wait(), 5)


async def test_listeners_are_open_before_packets_are_sent_to_them() -> None:
    async with running() as loop:
        loop.reconciler.feed(WEB)
        loop.reconciler.feed(WEB_UP)
        await until(lambda: bool(loop.capture.entries))
        assert loop.capture.listened == [True]


async def test_a_service_that_goes_is_released_and_its_listener_closed() -> None:
    async with running() as loop:
        loop.reconciler.feed(WEB)
        loop.reconciler.feed(WEB_UP)
        await until(lambda: bool(loop.capture.entries))
        [entry] = loop.capture.entries.values()
        loop.reconciler.feed(services(removed=("web",)))
        await until(lambda: not loop.capture.entries)
        await until(lambda: not accepts(entry))
        assert loop.reconciler.listening == {}


async def test_endpoint_changes_do_not_touch_capture() -> None:
    async with running() as loop:
        loop.reconciler.feed(WEB)
        loop.reconciler.feed(WEB_UP)
        await until(lambda: bool(loop.capture.entries))
        loop.reconciler.feed(slices(endpoint_slice("web-1", "web", "127.0.0.2", ports={"": 9})))
        serving = loop.reconciler.running.ports[key("web")].serving
        await until(lambda: loop.reconciler.running.ports[key("web")].serving.cluster == (("127.0.0.2", 9),))
        assert serving.cluster == (("127.0.0.1", 9),)
        assert loop.capture.changes == 1


async def test_a_refused_capture_change_is_retried_and_shown(monkeypatch, caplog) -> None:
    monkeypatch.setattr(retries, "RETRY_SECONDS", (0.05,))
    async with running() as loop:
        loop.capture.refuse = "nft: no buffer space"
        loop.reconciler.feed(WEB)
        loop.reconciler.feed(WEB_UP)
        await until(lambda: loop.reconciler.captured.error == "nft: no buffer space")
        assert not loop.reconciler.ready.is_set()
        assert loop.health.verdict(time.monotonic() + 100).last_queued is not None
        loop.capture.refuse = ""
        await until(lambda: loop.reconciler.captured.error == "")
        assert [str(one) for one in loop.capture.entries] == ["10.96.0.10:80"]
        assert loop.reconciler.ready.is_set()
    assert caplog.text.count("no buffer space") == 1


async def test_changes_during_a_refusal_are_all_there_afterwards(monkeypatch) -> None:
    monkeypatch.setattr(retries, "RETRY_SECONDS", (0.05,))
    async with running() as loop:
        loop.reconciler.feed(WEB)
        loop.reconciler.feed(WEB_UP)
        await until(lambda: bool(loop.capture.entries))
        loop.capture.refuse = "refused"
        loop.reconciler.feed(services(service("db", "10.96.0.11")))
        await until(lambda: bool(loop.reconciler.captured.error))
        loop.reconciler.feed(services(service("more", "10.96.0.12"), removed=("web",)))
        await until(lambda: key("more") in loop.reconciler.running.ports)
        loop.capture.refuse = ""
        await until(lambda: {one.address for one in loop.capture.entries} == {"10.96.0.11", "10.96.0.12"})


async def test_what_another_program_removed_is_restored_and_counted(monkeypatch) -> None:
    monkeypatch.setattr(captured, "REPAIR_SECONDS", 0.05)
    async with running() as loop:
        loop.reconciler.feed(WEB)
        loop.reconciler.feed(WEB_UP)
        await until(lambda: bool(loop.capture.entries))
        loop.capture.entries.clear()
        await until(lambda: bool(loop.capture.entries))
        await until(lambda: loop.reconciler.captured.repairs == 1)
        assert [(change.kind, change.key) for change in loop.told] == [
            ("service-added", key("web")),
            ("capture", None),
        ]


async def test_a_port_in_use_is_named_and_taken_when_it_becomes_free(monkeypatch, caplog) -> None:
    monkeypatch.setattr(retries, "RETRY_SECONDS", (0.05,))
    async with running("route") as loop:
        with socket.create_server(("127.0.0.1", 0)) as taken:
            number = taken.getsockname()[1]
            loop.reconciler.feed(services(service("web", "127.0.0.1", ports={"": number})))
            loop.reconciler.feed(slices(endpoint_slice("web-1", "web", "127.0.0.1", ports={"": 9})))
            await until(lambda: bool(loop.reconciler.failures))
            assert loop.capture.entries == {}
            [warning] = loop.reconciler.warnings(name("web"))
            assert "default/web: cannot listen on 127.0.0.1" in warning
        await until(lambda: bool(loop.capture.entries))
        assert loop.reconciler.failures == {}
        assert loop.reconciler.warnings(name("web")) == ()


async def test_a_service_that_goes_while_its_port_is_in_use_leaves_no_failure(monkeypatch) -> None:
    monkeypatch.setattr(retries, "RETRY_SECONDS", (60.0,))
    async with running("route") as loop:
        with socket.create_server(("127.0.0.1", 0)) as taken:
            number = taken.getsockname()[1]
            loop.reconciler.feed(services(service("web", "127.0.0.1", ports={"": number})))
            loop.reconciler.feed(slices())
            await until(lambda: bool(loop.reconciler.failures))
            loop.reconciler.feed(services(removed=("web",)))
            await until(lambda: not loop.reconciler.failures)
            assert loop.reconciler.running.ports == {}


async def test_a_contended_frontend_is_warned_about_once_and_handed_over(caplog) -> None:
    async with running() as loop:
        loop.reconciler.feed(WEB)
        loop.reconciler.feed(WEB_UP)
        loop.reconciler.feed(slices(endpoint_slice("late-1", "late", "127.0.0.1", ports={"": 9})))
        await until(lambda: bool(loop.capture.entries))
        for _ in range(2):
            loop.reconciler.feed(services(service("late", no_endpoints="nonsense")))
            await until(lambda: loop.reconciler.table.touched == 0)
        await until(lambda: len(loop.reconciler.warnings(name("late"))) == 2)
        assert caplog.text.count("belongs to default/web already") == 1
        assert caplog.text.count("nonsense") == 1
        loop.reconciler.feed(services(removed=("web",)))
        await until(lambda: set(loop.reconciler.running.owners.values()) == {key("late")})


async def test_changes_are_counted() -> None:
    async with running() as loop:
        loop.reconciler.feed(WEB)
        loop.reconciler.feed(WEB_UP)
        assert loop.reconciler.counters.service_changes_pending == 1
        await asyncio.wait_for(loop.reconciler.ready.wait(), 5)
        counters = loop.reconciler.counters
        assert (counters.service_changes, counters.endpoint_changes) == (1, 1)
        assert (counters.service_changes_pending, counters.endpoint_changes_pending) == (0, 0)
        assert sum(counters.buckets) == 1


@pytest.mark.parametrize("mode", ["loopback", "none"])
async def test_modes_that_capture_nothing(mode: str) -> None:
    async with running(mode) as loop:
        loop.reconciler.feed(WEB)
        loop.reconciler.feed(WEB_UP)
        await asyncio.wait_for(loop.reconciler.ready.wait(), 5)
        assert len(loop.reconciler.listening) == 1


def with_node_port(number: int, **fields: object) -> Service:
    return structs.replace(service("web"), ports=(ServiceSpecPort("", "TCP", 80, number),), **fields)


def opens(port: int, address: str = "127.0.0.1") -> bool:
    with contextlib.closing(socket.socket()) as sock:
        sock.settimeout(1)
        return sock.connect_ex((address, port)) == 0


async def test_a_node_port_needs_no_capture_and_follows_the_hosts_addresses(free_port: int) -> None:
    async with running() as loop:
        loop.reconciler.feed_addresses(["127.0.0.1"])
        loop.reconciler.feed(services(with_node_port(free_port)))
        loop.reconciler.feed(WEB_UP)
        await until(lambda: opens(free_port))
        assert [frontend.port for frontend in loop.capture.entries] == [80]
        loop.reconciler.feed_addresses(["127.0.0.1", "127.0.0.9"])
        await until(lambda: opens(free_port, "127.0.0.9"))
        loop.reconciler.feed(services(service("web")))
        await until(lambda: not opens(free_port))


async def test_a_taken_node_port_is_told_once_and_taken_when_it_is_free(
    monkeypatch: pytest.MonkeyPatch, free_port: int
) -> None:
    monkeypatch.setattr(retries, "RETRY_SECONDS", (0.05,))
    async with running() as loop:
        loop.reconciler.feed_addresses(["127.0.0.1"])
        with socket.create_server(("127.0.0.1", free_port)):
            loop.reconciler.feed(services(with_node_port(free_port)))
            loop.reconciler.feed(WEB_UP)
            await until(lambda: bool(loop.warned))
            name_, reason, text = loop.warned[0]
            assert (str(name_), reason) == ("default/web", "FailedToListen")
            assert f"127.0.0.1:{free_port}" in text
        await until(lambda: not loop.reconciler.failures)
        await until(lambda: opens(free_port))


async def test_a_node_port_that_outgoing_connections_may_take_is_warned_of() -> None:
    async with running() as loop:
        loop.reconciler.feed(services(with_node_port(39999)))
        loop.reconciler.feed(WEB_UP)
        await until(lambda: bool(loop.warned))
        assert "ip_local_reserved_ports=39999" in loop.warned[0][2]


async def test_rows_1_9_9_and_1_9_11_health_checks_are_opened_counted_and_retried(
    monkeypatch: pytest.MonkeyPatch, free_port: int
) -> None:
    monkeypatch.setattr(retries, "RETRY_SECONDS", (0.05,))
    async with running() as loop:
        loop.reconciler.feed(
            Changes("nodes", (Node("n1", addresses=("127.0.0.1",)),), listed=True),
        )
        with socket.create_server(("0.0.0.0", free_port)):
            loop.reconciler.feed(services(with_node_port(0, health_check_node_port=free_port)))
            loop.reconciler.feed(slices(endpoint_slice("web-1", "web", Endpoint("127.0.0.1", node="n1"))))
            await until(
                lambda: any(reason == "FailedToStartServiceHealthcheck" for _, reason, _ in loop.warned)
            )
        await until(lambda: not loop.reconciler.check_failures)
        [check] = loop.reconciler.running.health_checks[name("web")]
        assert check.endpoints == 1
        assert opens(free_port)
        loop.reconciler.feed(services(removed=("web",)))
        await until(lambda: not opens(free_port))
        assert loop.reconciler.running.health_checks == {}


async def test_a_health_check_that_changes_while_capture_is_refused_is_shown_after_it(
    monkeypatch: pytest.MonkeyPatch, free_port: int
) -> None:
    """A load balancer would go on sending to a node without endpoints, until the next change of any health check."""
    monkeypatch.setattr(retries, "RETRY_SECONDS", (0.05,))
    local = slices(endpoint_slice("web-1", "web", Endpoint("127.0.0.1", node="n1")))
    async with running() as loop:
        loop.reconciler.feed(services(with_node_port(0, health_check_node_port=free_port)))
        loop.reconciler.feed(local)
        loop.capture.refuse = "nft: no buffer space"
        await until(lambda: bool(loop.reconciler.captured.error))
        assert not opens(free_port)
        loop.capture.refuse = ""
        await until(lambda: opens(free_port))


async def test_row_1_4_14_a_new_zone_is_followed() -> None:
    async with running() as loop:
        hinted = [Endpoint("127.0.0.1", zones=("a",)), Endpoint("127.0.0.2", zones=("b",))]
        loop.reconciler.feed(WEB)
        loop.reconciler.feed(slices(endpoint_slice("web-1", "web", *hinted)))
        await until(lambda: key("web") in loop.reconciler.running.ports)
        loop.reconciler.feed(Changes("nodes", (Node("n1", zone="b"),), listed=True))
        await until(lambda: len(loop.reconciler.running.ports[key("web")].serving.cluster) == 1)


async def test_other_defaults_reach_services_that_run() -> None:
    async with running() as loop:
        loop.reconciler.feed(WEB)
        loop.reconciler.feed(WEB_UP)
        await asyncio.wait_for(loop.reconciler.ready.wait(), 5)
        loop.reconciler.configure(structs.replace(loop.settings, options=PortOptions(eject_failures=3)))
        async with asyncio.timeout(5):
            while loop.reconciler.running.ports[key("web")].serving.options.eject_failures != 3:
                await asyncio.sleep(0.01)
