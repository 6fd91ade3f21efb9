"""Growth, bound, jitter and reset of the delay, in virtual time."""

from __future__ import annotations

import random

from userproxy.kube.backoff import Backoff


class Clock:
    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


def make(clock: Clock, random_number: float = 0.0) -> Backoff:
    return Backoff(0.8, 30.0, 120.0, clock, lambda: random_number)


def test_doubles_up_to_the_longest() -> None:
    backoff = make(Clock())
    assert [round(backoff.next_delay() * 2, 3) for _ in range(8)] == [
        0.8,
        1.6,
        3.2,
        6.4,
        12.8,
        25.6,
        30.0,
        30.0,
    ]


def test_jitter_lies_between_half_and_whole() -> None:
    rng = random.Random(1)
    seen = [Backoff(8.0, 30.0, 120.0, Clock(), rng.random).next_delay() for _ in range(500)]
    assert 4.0 <= min(seen) < 4.2
    assert 7.8 < max(seen) <= 8.0


def test_two_minutes_of_health_reset_it() -> None:
    clock = Clock()
    backoff = make(clock)
    backoff.next_delay()
    backoff.next_delay()
    backoff.succeeded()
    clock.now += 119.9
    backoff.succeeded()
    assert backoff.next_delay() == 1.6
    backoff.succeeded()
    clock.now += 120.0
    assert backoff.next_delay() == 0.4
    assert backoff.next_delay() == 0.8


def test_time_without_success_does_not_reset_it() -> None:
    clock = Clock()
    backoff = make(clock)
    backoff.next_delay()
    clock.now += 10_000
    assert backoff.next_delay() == 0.8
