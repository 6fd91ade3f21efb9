"""A listener that cannot go on as a change asks: closed, named, and opened again when it can."""

from __future__ import annotations

import socket

import pytest
from msgspec import structs

from tests.build import service, services, slices
from tests.dataplane.rig import until
from tests.reconcile.rig import running
from userproxy.api_objects import EndpointSlice, Service, ServiceSpecPort, SlicePort
from userproxy.model import CaptureEntry, Endpoint, Family, FrontendKind, Scope
from userproxy.reconcile import retries


@pytest.mark.parametrize("protocol", ["TCP", "UDP"])
async def test_a_listener_that_cannot_follow_a_change_is_closed_and_opened_again(
    monkeypatch, protocol
) -> None:
    """More source ranges than a packet filter holds come with an edit: nobody is let in until they are fewer."""
    monkeypatch.setattr(retries, "RETRY_SECONDS", (0.05,))
    few, many = ("192.0.2.0/24",), tuple(f"10.{n >> 8}.{n & 255}.1/32" for n in range(2000))
    ports = (ServiceSpecPort("p", protocol, 53),)
    public = Service("default", "public", ("10.96.0.20",), ports, load_balancer_ips=("203.0.113.1",))
    up = EndpointSlice(
        "default",
        "public-1",
        "public",
        Family.IPV4,
        (SlicePort("p", protocol, 9),),
        (Endpoint("127.0.0.1"),),
    )

    def of_public(kind: FrontendKind) -> list[CaptureEntry]:
        return [entry for frontend, entry in loop.capture.entries.items() if frontend.kind is kind]

    async with running() as loop:
        loop.reconciler.feed(services(structs.replace(public, source_ranges=few), service("web")))
        loop.reconciler.feed(slices(up))
        await until(lambda: len(loop.capture.entries) == 3)
        loop.reconciler.feed(services(structs.replace(public, source_ranges=many)))
        await until(lambda: "too many source ranges" in "".join(loop.reconciler.failures.values()))
        assert [spec.scope for spec in loop.reconciler.failures] == [Scope.LOAD_BALANCER]
        [lost] = of_public(FrontendKind.LOAD_BALANCER)
        with socket.socket(type=socket.SOCK_DGRAM if protocol == "UDP" else socket.SOCK_STREAM) as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            probe.bind(lost.listener)
            # Other Services go on, and so does the ClusterIP of this one.
            loop.reconciler.feed(services(service("other", "10.96.0.30")))
            await until(lambda: len(loop.capture.entries) == 4)
            loop.reconciler.feed(services(structs.replace(public, source_ranges=few)))
            await until(lambda: not loop.reconciler.failures)
        [entry] = of_public(FrontendKind.LOAD_BALANCER)
        assert entry.listener != lost.listener
        assert not loop.reconciler.captured.error
