"""Monotonic moments as calendar times, against the real clocks.

A step of the system clock cannot be made here; the distance kept inside is displaced instead.
"""

from __future__ import annotations

import time
from datetime import UTC, datetime, timedelta

import pytest

from userproxy.admin.wallclock import WallClock


def test_now_reads_as_now() -> None:
    clock = WallClock()
    before = datetime.now(UTC) - timedelta(milliseconds=50)
    shown = clock.at(time.monotonic())
    assert before <= shown <= datetime.now(UTC) + timedelta(milliseconds=50)


def test_one_moment_always_reads_the_same() -> None:
    clock = WallClock()
    moment = time.monotonic() - 3600.0
    assert len({clock.at(moment) for _ in range(1000)}) == 1


def test_a_stepped_clock_is_followed() -> None:
    clock = WallClock()
    clock._distance -= 7200.0
    assert clock.unix(time.monotonic()) == pytest.approx(time.time(), abs=0.1)
