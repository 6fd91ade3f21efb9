"""Readers of events: the data plane is asked while there is one, and what it lost is told."""

from __future__ import annotations

import asyncio

from tests.admin.build import Records, flow, observers
from userproxy.core.events import ChangeEvent, ConnectionEvent, LostEvent
from userproxy.core.service_events import Change


async def test_the_data_plane_is_asked_while_somebody_reads() -> None:
    records = Records([flow("before")])
    observed = observers(records)
    assert records.deliver is None
    async with observed.reading() as log:
        assert (len(log), observed.readers) == (1, 1)
        async with observed.reading():
            records.say(flow("now"))
            assert observed.readers == 2
        assert records.deliver is not None
        events, _, _ = log.read(0, 9)
        assert [event.service for event in events if isinstance(event, ConnectionEvent)] == ["before", "now"]
    assert records.deliver is None
    assert observed.readers == 0


async def test_a_reader_that_is_cancelled_is_forgotten() -> None:
    records = Records()
    observed = observers(records)
    entered = asyncio.Event()

    async def read() -> None:
        async with observed.reading():
            entered.set()
            await asyncio.Event().wait()

    async with asyncio.TaskGroup() as group:
        task = group.create_task(read(), name="reader")
        await entered.wait()
        task.cancel()
    assert (records.deliver, observed.readers) == (None, 0)


async def test_what_the_data_plane_lost_is_told_and_counted() -> None:
    records = Records()
    observed = observers(records)
    async with observed.reading() as log:
        records.say(flow(), lost=7)
        events, _, _ = log.read(0, 9)
    assert isinstance(events[1], LostEvent)
    assert (events[1].count, log.lost) == (7, 7)


async def test_changes_are_kept_without_any_reader() -> None:
    observed = observers()
    observed.changed(Change(1.0, "capture", "restored"))
    [event], _, _ = observed.log.read(0, 9)
    assert isinstance(event, ChangeEvent)
    assert event.message == "restored"
