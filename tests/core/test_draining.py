"""Draining: an endpoint's time runs from when it left, and it stops when the endpoint comes back."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from userproxy.core.draining import Draining
from userproxy.model import Address

A, B, C = [(f"10.0.0.{n}", 80) for n in range(1, 4)]


def test_time_runs_from_the_first_change_without_it() -> None:
    draining = Draining()
    draining.update({A, B}, {A, B}, now=0)
    assert not draining
    draining.update({A}, {A, B, C}, now=1)
    draining.update({A}, {A, B}, now=5)
    assert draining
    assert draining.take_due(10, now=10.9) == frozenset()
    assert draining.take_due(10, now=11) == {B}
    assert not draining


def test_one_that_comes_back_is_spared_and_starts_anew() -> None:
    draining = Draining()
    draining.update(set(), {A}, now=0)
    draining.update({A}, {A}, now=9)
    assert draining.take_due(10, now=20) == frozenset()
    draining.update(set(), {A}, now=30)
    assert draining.take_due(10, now=39) == frozenset()
    assert draining.take_due(10, now=40) == {A}


def test_nothing_to_wait_for() -> None:
    draining = Draining()
    draining.update(set(), {A}, now=3)
    assert draining.take_due(0, now=3) == {A}


@given(st.lists(st.sets(st.sampled_from([A, B, C])), max_size=20), st.integers(0, 5))
def test_matches_a_naive_history(changes: list[set[Address]], seconds: int) -> None:
    draining, open_ = Draining(), {A, B, C}
    history: list[set[Address]] = []
    for now, usable in enumerate(changes):
        history.append(usable)
        draining.update(usable, open_, now)
        expected = {
            one
            for one in open_
            if len(history) > seconds and all(one not in past for past in history[-seconds - 1 :])
        }
        assert draining.take_due(seconds, now) == expected
        open_ -= expected
