"""More Services at once than one portion: what overlaps, what does not, and when it is all done."""

from __future__ import annotations

import asyncio
import socket

import pytest

from tests.build import endpoint_slice, key, service, services, slices
from tests.dataplane.rig import until
from tests.reconcile.rig import Loop, running
from userproxy.reconcile import loop as reconcile_loop

NAMES = ("a", "b", "c", "d", "e")
ADDRESSES = [f"10.96.0.{10 + number}" for number in range(len(NAMES))]
ALL = services(*(service(one, address) for one, address in zip(NAMES, ADDRESSES, strict=True)))
ALL_UP = slices(*(endpoint_slice(f"{one}-1", one, "127.0.0.1", ports={"": 9}) for one in NAMES))


async def opened_behind_a_gate(loop: Loop) -> asyncio.Event:
    """Feed all Services to a loop whose capture waits for the event that is returned; their listeners are open then."""
    loop.capture.gate = gate = asyncio.Event()
    loop.reconciler.feed(ALL)
    loop.reconciler.feed(ALL_UP)
    await until(lambda: len(loop.reconciler.listening) == len(NAMES))
    return gate


async def test_listeners_are_opened_while_those_before_are_captured(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(reconcile_loop, "PORTION", 2)
    async with running() as loop:
        gate = await opened_behind_a_gate(loop)
        assert loop.capture.entries == {}
        assert not loop.reconciler.ready.is_set()
        gate.set()
        await asyncio.wait_for(loop.reconciler.ready.wait(), 5)
        assert sorted(one.address for one in loop.capture.entries) == ADDRESSES
        assert loop.capture.listened == [True] * len(NAMES)
        assert loop.capture.changes == 2


async def test_what_is_taken_away_is_gone_before_the_next_portion(
    monkeypatch: pytest.MonkeyPatch, free_port: int
) -> None:
    """In route mode a listener is bound to the frontend itself: whoever takes it over finds it free."""
    monkeypatch.setattr(reconcile_loop, "PORTION", 1)
    monkeypatch.setattr("userproxy.reconcile.retries.RETRY_SECONDS", (60.0,))
    async with running("route") as loop:
        loop.reconciler.feed(services(service("old", "127.0.0.1", ports={"": free_port})))
        loop.reconciler.feed(slices())
        await asyncio.wait_for(loop.reconciler.ready.wait(), 5)
        loop.reconciler.feed(services(service("new", "127.0.0.1", ports={"": free_port}), removed=("old",)))
        await until(lambda: [spec.key for spec in loop.reconciler.listening] == [key("new")])
        assert loop.reconciler.failures == {}
        await until(lambda: len(loop.capture.entries) == 1)


async def test_a_refusal_in_the_middle_is_made_good_by_the_next_look(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(reconcile_loop, "PORTION", 2)
    monkeypatch.setattr("userproxy.reconcile.retries.RETRY_SECONDS", (0.05,))
    async with running() as loop:
        loop.capture.refuse = "nft: no buffer space"
        loop.reconciler.feed(ALL)
        loop.reconciler.feed(ALL_UP)
        await until(lambda: bool(loop.reconciler.captured.error))
        assert not loop.reconciler.ready.is_set()
        loop.capture.refuse = ""
        await asyncio.wait_for(loop.reconciler.ready.wait(), 5)
        assert sorted(one.address for one in loop.capture.entries) == ADDRESSES


async def test_listeners_that_fail_in_many_portions_are_tried_again_as_soon_as_one(
    monkeypatch: pytest.MonkeyPatch, free_port: int
) -> None:
    monkeypatch.setattr(reconcile_loop, "PORTION", 1)
    monkeypatch.setattr("userproxy.reconcile.retries.RETRY_SECONDS", (0.05, 60.0))
    ports = {"": free_port}
    three = [service(one, f"127.0.0.{number}", ports=ports) for number, one in enumerate(NAMES[:3], 1)]
    async with running("route") as loop:
        with socket.create_server(("", free_port)):
            loop.reconciler.feed(services(*three))
            loop.reconciler.feed(slices())
            await until(lambda: len(loop.reconciler.failures) == 3)
        await until(lambda: len(loop.reconciler.listening) == 3)


async def test_the_end_does_not_wait_for_a_change_of_capture() -> None:
    async with running() as loop:
        await opened_behind_a_gate(loop)
    assert loop.capture.entries == {}
