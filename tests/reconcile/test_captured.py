"""Entries of capture: what becomes of a step, refusals, and what the kernel is made to hold later."""

from __future__ import annotations

import asyncio

from tests.build import key
from tests.reconcile.rig import TableCapture
from userproxy.core.plan import Plan
from userproxy.core.service_events import Change
from userproxy.model import Address, CaptureEntry, Frontend, FrontendKind, ListenerSpec
from userproxy.reconcile.captured import REPAIR_SECONDS, Captured
from userproxy.reconcile.retries import RETRY_SECONDS

WEB = Frontend("10.96.0.10", 80, "TCP")
SPEC = ListenerSpec(key("web"), "127.0.0.1", 0, captured_only=True)
NOWHERE: Address = ("127.0.0.1", 1)
STEP = Plan(capture=((WEB, SPEC),))


class Rig:
    def __init__(self) -> None:
        self.now = 100.0
        self.told: list[Change] = []
        self.capture = TableCapture()
        self.captured = Captured(self.capture, lambda: self.now, self.told.append)

    async def change(self, step: Plan, listening: dict[ListenerSpec, Address]) -> None:
        async with asyncio.TaskGroup() as under_way:
            await self.captured.change(step, listening, under_way)
            await self.captured.settled()

    @property
    def held(self) -> dict[Frontend, Address]:
        return {frontend: entry.listener for frontend, entry in self.capture.entries.items()}


async def test_a_frontend_is_captured_where_somebody_listens_for_it() -> None:
    rig = Rig()
    await rig.change(STEP, {})
    assert rig.held == {}
    await rig.change(STEP, {SPEC: NOWHERE})
    assert rig.held == {WEB: NOWHERE}
    await rig.change(Plan(release=(WEB,)), {})
    assert rig.held == {}


async def test_a_node_port_needs_no_entry() -> None:
    rig = Rig()
    node_port = Frontend("192.0.2.1", 30080, "TCP", FrontendKind.NODE_PORT)
    await rig.change(Plan(capture=((node_port, SPEC),)), {SPEC: NOWHERE})
    assert rig.capture.changes == 0


async def test_a_listener_that_was_opened_anew_takes_the_place_of_the_old_one() -> None:
    rig = Rig()
    await rig.change(STEP, {SPEC: NOWHERE})
    await rig.change(STEP, {SPEC: ("127.0.0.1", 2)})
    assert rig.held == {WEB: ("127.0.0.1", 2)}


async def test_after_a_refusal_everything_is_written_at_the_next_look() -> None:
    rig = Rig()
    rig.capture.refuse = "nft: no buffer space"
    await rig.change(STEP, {SPEC: NOWHERE})
    assert rig.captured.error == "nft: no buffer space"
    assert rig.captured.look_at == rig.now + RETRY_SECONDS[0]
    other = Frontend("10.96.0.11", 80, "TCP")
    rig.capture.refuse = ""
    await rig.change(Plan(capture=((other, SPEC),)), {SPEC: NOWHERE})
    assert rig.held == {}
    assert await rig.captured.look()
    assert rig.held == {WEB: NOWHERE, other: NOWHERE}
    assert rig.captured.error == ""
    assert [change.message for change in rig.told] == [
        "nft: no buffer space; tried again until it works",
        "capture works again",
    ]


async def test_changes_are_made_one_after_the_other_while_the_caller_goes_on() -> None:
    rig = Rig()
    rig.capture.gate = asyncio.Event()
    async with asyncio.TaskGroup() as under_way:
        await rig.captured.change(STEP, {SPEC: NOWHERE}, under_way)
        second = under_way.create_task(rig.captured.change(Plan(release=(WEB,)), {}, under_way))
        await asyncio.sleep(0.01)
        assert not second.done()
        assert rig.held == {}
        rig.capture.gate.set()
        await second
        await rig.captured.settled()
    assert rig.held == {}
    assert rig.capture.changes == 2


async def test_what_comes_while_the_kernel_is_busy_is_one_change() -> None:
    rig = Rig()
    rig.capture.gate = asyncio.Event()
    frontends = [Frontend(f"10.96.0.{number}", 80, "TCP") for number in range(5)]
    async with asyncio.TaskGroup() as under_way:
        for frontend in frontends:
            await rig.captured.change(Plan(capture=((frontend, SPEC),)), {SPEC: NOWHERE}, under_way)
            await asyncio.sleep(0)
        assert rig.held == {}
        rig.capture.gate.set()
        await rig.captured.settled()
    assert rig.held == dict.fromkeys(frontends, NOWHERE)
    assert rig.capture.changes == 2


async def test_what_came_while_the_kernel_refused_is_not_written_twice() -> None:
    """iptables would hold a rule twice, and nft refuses to delete what is gone."""
    rig = Rig()
    rig.capture.gate = asyncio.Event()
    rig.capture.refuse = "refused"
    others = [Frontend(f"10.96.0.{number}", 80, "TCP") for number in (11, 12)]
    async with asyncio.TaskGroup() as under_way:
        await rig.captured.change(STEP, {SPEC: NOWHERE}, under_way)
        await asyncio.sleep(0)
        await rig.captured.change(Plan(capture=((others[0], SPEC),)), {SPEC: NOWHERE}, under_way)
        rig.capture.gate.set()
        await rig.captured.settled()
    rig.capture.refuse = ""
    assert await rig.captured.look()
    assert set(rig.held) == {WEB, others[0]}
    await rig.change(Plan(capture=((others[1], SPEC),)), {SPEC: NOWHERE})
    assert set(rig.held) == {WEB, *others}
    assert len(rig.capture.listened) == 1


async def test_a_change_after_another_has_been_made_is_made_too() -> None:
    rig = Rig()
    other = Frontend("10.96.0.11", 80, "TCP")
    async with asyncio.TaskGroup() as under_way:
        await rig.captured.change(STEP, {SPEC: NOWHERE}, under_way)
        await asyncio.sleep(0.05)
        await rig.captured.change(Plan(capture=((other, SPEC),)), {SPEC: NOWHERE}, under_way)
        await rig.captured.settled()
    assert rig.held == {WEB: NOWHERE, other: NOWHERE}


async def test_looks_that_fail_come_after_growing_waits_and_are_told_once() -> None:
    rig = Rig()
    rig.capture.refuse = "refused"
    waits = []
    for _ in range(3):
        assert not await rig.captured.look()
        waits.append(rig.captured.look_at - rig.now)
    assert waits == list(RETRY_SECONDS[:3])
    assert len(rig.told) == 1
    rig.capture.refuse = ""
    assert await rig.captured.look()
    rig.capture.refuse = "again"
    assert not await rig.captured.look()
    assert rig.captured.look_at - rig.now == RETRY_SECONDS[0]


async def test_what_others_changed_is_restored_and_counted() -> None:
    rig = Rig()
    await rig.change(STEP, {SPEC: NOWHERE})
    assert not await rig.captured.look()
    assert rig.captured.repairs == 0
    rig.capture.entries[WEB] = CaptureEntry(WEB, ("127.0.0.1", 3))
    assert not await rig.captured.look()
    assert rig.held == {WEB: NOWHERE}
    assert rig.captured.repairs == 1
    assert rig.captured.look_at == rig.now + REPAIR_SECONDS
