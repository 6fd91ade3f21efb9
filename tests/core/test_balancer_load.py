"""least-connections and random-two: held against naive models, with connections that open and end in any order."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator

from hypothesis import given
from hypothesis import strategies as st

from userproxy.core.balancer_load import LeastConnections, OpenConnections, RandomTwo
from userproxy.model import Address

A, B, C, D = [(f"10.0.0.{n}", 80) for n in range(1, 5)]


def drawing(*numbers: float) -> Callable[[], float]:
    source: Iterator[float] = iter(numbers)
    return lambda: next(source)


def counted(**counts: int) -> OpenConnections:
    made = OpenConnections()
    for endpoint, count in zip((A, B, C, D), counts.values(), strict=False):
        for _ in range(count):
            made.opened(endpoint)
    return made


def test_counts_rise_and_fall_and_leave_nothing_behind() -> None:
    counts = counted(a=2)
    assert (counts[A], counts[B]) == (2, 0)
    counts.closed(A)
    assert dict(counts) == {A: 1}
    counts.closed(A)
    counts.closed(A)
    assert dict(counts) == {}


def test_the_fewest_connections_win() -> None:
    least = LeastConnections(counted(a=2, b=1, c=3), [A, B, C])
    assert least.pick() == B
    assert least.pick_other([B]) == A
    assert least.pick_other([A, B]) == C
    assert least.pick_other([A, B, C]) is None
    assert least.upcoming() == (B, A, C)


def test_equals_take_turns() -> None:
    least = LeastConnections(OpenConnections(), [A, B, C], start=1)
    assert [least.pick() for _ in range(4)] == [B, C, A, B]
    least.update([A, B])
    assert [least.pick() for _ in range(2)] == [A, B]
    least.update([])
    assert least.pick() is None


@given(
    st.integers(1, 6),
    st.lists(
        st.one_of(
            st.just("open"),
            st.tuples(st.just("end"), st.integers(0, 99)),
            st.sets(st.integers(0, 5), min_size=1),
        ),
        max_size=40,
    ),
)
def test_least_connections_matches_a_naive_queue(size: int, steps: list[object]) -> None:
    queue = [("10.0.0.1", n) for n in range(size)]
    counts, connections = OpenConnections(), list[Address]()
    least = LeastConnections(counts, queue)
    for step in steps:
        if step == "open":
            fewest = min(connections.count(one) for one in queue)
            expected = next(one for one in queue if connections.count(one) == fewest)
            index = queue.index(expected)
            queue = queue[index + 1 :] + queue[: index + 1]
            picked = least.pick()
            assert picked == expected
            connections.append(expected)
            counts.opened(expected)
        elif isinstance(step, tuple) and connections:
            counts.closed(connections.pop(step[1] % len(connections)))
        elif isinstance(step, set):
            wanted = [("10.0.0.1", n) for n in sorted(step)]
            least.update(wanted)
            queue = [one for one in queue if one in wanted] + [one for one in wanted if one not in queue]
    assert counts == Counter(connections)


@given(st.integers(1, 8), st.integers(0, 60))
def test_connections_that_stay_are_spread_evenly(size: int, count: int) -> None:
    counts = OpenConnections()
    least = LeastConnections(counts, [("10.0.0.1", n) for n in range(size)])
    for _ in range(count):
        picked = least.pick()
        assert picked is not None
        counts.opened(picked)
    shares = [counts[("10.0.0.1", n)] for n in range(size)]
    assert max(shares) - min(shares) <= 1


def test_the_better_of_two_is_taken() -> None:
    two = RandomTwo(counted(a=2, b=1, c=3), drawing(0.0, 0.0, 0.99, 0.0, 0.4, 0.99, 0.0, 0.0), [A, B, C])
    assert two.pick() == B  # of A and B
    assert two.pick() == A  # of C and A
    assert two.pick_other([A]) == B  # of B and C
    assert two.pick_other([B]) == A  # of A and C
    assert two.pick_other([A, B]) == C
    assert two.pick_other([A, B, C]) is None
    assert two.upcoming() == (B, A, C)
    two.update([])
    assert two.pick() is None


@given(
    st.sets(st.integers(0, 9), min_size=2),
    st.lists(st.floats(0, 1, exclude_max=True), min_size=2, max_size=2),
)
def test_two_different_endpoints_are_compared(members: set[int], draws: list[float]) -> None:
    endpoints = [("10.0.0.1", n) for n in sorted(members)]
    first = int(draws[0] * len(endpoints))
    rest = endpoints[:first] + endpoints[first + 1 :]
    other = rest[int(draws[1] * len(rest))]
    idle = RandomTwo(OpenConnections(), drawing(*draws), endpoints)
    assert idle.pick() == endpoints[first]
    counts = OpenConnections({endpoints[first]: 1})
    assert RandomTwo(counts, drawing(*draws), endpoints).pick() == other
