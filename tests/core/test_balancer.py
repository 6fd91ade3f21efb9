"""Round robin: exact shares, turns that survive changes, held against a naive model."""

from __future__ import annotations

from collections import Counter

from hypothesis import given
from hypothesis import strategies as st

from userproxy.core.balancer import RoundRobin

A, B, C, D = [(f"10.0.0.{n}", 80) for n in range(1, 5)]


def picks(ring: RoundRobin, count: int) -> list[object]:
    return [ring.pick() for _ in range(count)]


def test_takes_turns() -> None:
    ring = RoundRobin([A, B, C])
    assert picks(ring, 7) == [A, B, C, A, B, C, A]
    assert ring.upcoming() == (B, C, A)
    assert len(ring) == 3


def test_start_offset_is_where_the_ring_begins() -> None:
    assert picks(RoundRobin([A, B, C], start=4), 3) == [B, C, A]


def test_nothing_to_pick() -> None:
    ring = RoundRobin([], start=3)
    assert ring.pick() is None
    assert ring.pick_other([A]) is None


def test_the_turn_survives_an_addition() -> None:
    ring = RoundRobin([A, B, C])
    ring.pick()
    ring.update([A, B, C, D])
    assert picks(ring, 4) == [B, C, A, D]


def test_the_turn_survives_the_removal_of_the_one_whose_turn_it_is() -> None:
    ring = RoundRobin([A, B, C])
    ring.pick()
    ring.update([A, C])
    assert picks(ring, 3) == [C, A, C]


def test_the_same_endpoints_again_change_nothing() -> None:
    ring = RoundRobin([A, B, C])
    picks(ring, 2)
    ring.update([C, B, A])
    assert picks(ring, 3) == [C, A, B]


def test_other_endpoints_after_failures() -> None:
    ring = RoundRobin([A, B, C])
    assert ring.pick() == A
    assert ring.pick_other([A]) == B
    assert ring.pick_other([A, B]) == C
    assert ring.pick_other([A, B, C]) is None
    ring.pick()
    assert ring.pick_other([B, C]) == A


@given(
    st.lists(st.sets(st.integers(0, 9), min_size=1), min_size=1, max_size=8),
    st.lists(st.integers(0, 25), min_size=8, max_size=8),
    st.integers(1, 5),
)
def test_every_endpoint_gets_exactly_its_share_after_any_changes(
    sets: list[set[int]], moves: list[int], rounds: int
) -> None:
    ring = RoundRobin()
    for members, move in zip(sets, moves, strict=False):
        ring.update([("10.0.0.1", n) for n in sorted(members)])
        picks(ring, move)
    members = {("10.0.0.1", n) for n in sets[min(len(sets), len(moves)) - 1]}
    shares = Counter(picks(ring, rounds * len(members)))
    assert shares == dict.fromkeys(members, rounds)


@given(
    st.lists(st.tuples(st.sets(st.integers(0, 6)), st.integers(0, 9)), min_size=1, max_size=12),
)
def test_turns_match_a_naive_queue(steps: list[tuple[set[int], int]]) -> None:
    ring, queue = RoundRobin(), []
    for members, move in steps:
        wanted = [("10.0.0.1", n) for n in sorted(members)]
        ring.update(wanted)
        queue = [one for one in queue if one in wanted] + [one for one in wanted if one not in queue]
        for _ in range(move):
            expected = queue[0] if queue else None
            queue = queue[1:] + queue[:1]
            assert ring.pick() == expected


def test_the_turn_can_be_moved_past_an_endpoint() -> None:
    ring = RoundRobin([A, B, C])
    ring.move_past(C)
    assert picks(ring, 2) == [A, B]
