"""Passive ejection: rests that double, a single trial, never more than half, held against a naive model."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.build import key
from userproxy.core.affinity import AffinityRecords, Sticky
from userproxy.core.balancer import RoundRobin
from userproxy.core.balancer_hash import SourceHash
from userproxy.core.counters import PortCounters
from userproxy.core.ejection import FIRST_REST, LONGEST_REST, TRIAL_SECONDS, Ejecting, Ejection
from userproxy.model import Address

A, B, C, D = [(f"10.0.0.{n}", 80) for n in range(1, 5)]


class Case:
    """A ring with ejection after three failures."""

    def __init__(self, *endpoints: Address, failures: int = 3) -> None:
        self.counters = PortCounters()
        self.ejection = Ejection(failures, self.counters)
        self.ejection.update(endpoints)
        self.ring = Ejecting(self.ejection, RoundRobin(endpoints))

    def fail(self, endpoint: Address, times: int = 3, now: float = 0.0) -> None:
        for _ in range(times):
            self.ejection.failed(endpoint, now)

    def picks(self, count: int, now: float = 0.0) -> list[Address | None]:
        return [self.ring.pick("", now) for _ in range(count)]

    def update(self, *endpoints: Address) -> None:
        self.ring.update(endpoints)
        self.ejection.update(endpoints)


def test_nothing_happens_before_enough_failures_in_a_row() -> None:
    case = Case(A, B)
    case.fail(A, 2)
    case.ejection.reached(A)
    case.fail(A, 2)
    assert case.picks(4) == [A, B, A, B]
    assert case.ring.pick_other([B]) == A
    assert (case.counters.ejections, case.counters.ejected) == (0, 0)


def test_an_ejected_endpoint_rests_while_the_others_take_turns() -> None:
    case = Case(A, B, C)
    case.fail(B)
    assert case.picks(4) == [A, C, A, C]
    assert case.ring.upcoming() == (A, C, B)
    assert case.ring.pick_other([A]) == C
    assert (case.counters.ejections, case.counters.ejected) == (1, 1)


def test_one_trial_decides_the_return() -> None:
    case = Case(A, B, C)
    case.fail(B)
    assert case.picks(6, FIRST_REST).count(B) == 1
    case.ejection.reached(B)
    assert case.counters.ejected == 0
    assert case.picks(6, FIRST_REST).count(B) == 2


def test_each_failed_trial_doubles_the_rest_up_to_a_minute() -> None:
    case = Case(A, B)
    case.fail(B)
    now, rests = 0.0, []
    for _ in range(8):
        started = now
        while B not in case.picks(2, now):
            now += 0.5
        rests.append(now - started)
        case.fail(B, 1, now)
        case.fail(B, 5, now)  # dials begun before say nothing new
    assert rests == [1, 2, 4, 8, 16, 32, LONGEST_REST, LONGEST_REST]
    assert case.counters.ejections == 1


def test_a_trial_that_says_nothing_is_followed_by_another() -> None:
    case = Case(A, B)
    case.fail(B)
    assert B in case.picks(2, 1.0)
    assert B not in case.picks(4, 1.0 + TRIAL_SECONDS - 0.1)
    assert B in case.picks(2, 1.0 + TRIAL_SECONDS)


@pytest.mark.parametrize(("size", "most"), [(1, 0), (2, 1), (3, 1), (4, 2)])
def test_never_more_than_half(size: int, most: int) -> None:
    endpoints = [A, B, C, D][:size]
    case = Case(*endpoints)
    for endpoint in endpoints:
        case.fail(endpoint, 9)
    assert case.counters.ejected == most
    assert len(set(case.picks(8))) == size - most


def test_when_others_leave_those_ejected_first_return() -> None:
    case = Case(A, B, C, D)
    case.fail(A)
    case.fail(B, now=0.5)
    case.update(A, B, C)
    assert set(case.picks(6)) == {A, C}
    case.update(A, C)
    assert case.counters.ejected == 0
    case.update(A, B, C)
    assert set(case.picks(6)) == {A, B, C}


def test_a_set_of_which_all_rest_is_still_used() -> None:
    case = Case(A, B, C, D)
    local = Ejecting(case.ejection, RoundRobin([A, B]))
    case.fail(A)
    case.fail(B)
    assert [local.pick() for _ in range(3)] == [A, B, A]
    assert local.pick_other([A]) == B
    assert local.pick_other([A, B]) is None
    assert set(case.picks(4)) == {C, D}
    assert case.ring.pick_other([C, D]) in (A, B)


def test_a_retry_may_be_the_trial() -> None:
    case = Case(A, B)
    case.fail(B)
    assert case.ring.pick_other([A], "", 1.0) == B
    assert B not in case.picks(4, 1.5)


def test_an_endpoint_that_is_not_ours_is_not_judged() -> None:
    case = Case(A, B)
    case.fail(C, 9)
    assert case.counters.ejections == 0
    case.ejection.reached(C)


def test_another_number_of_failures() -> None:
    case = Case(A, B)
    case.ejection.set_failures(1)
    case.fail(A, 1)
    assert case.counters.ejected == 1


def test_a_client_with_affinity_moves_away_and_stays_there() -> None:
    records, ejection = AffinityRecords(), Ejection(1, PortCounters())
    ejection.update([A, B, C])
    ring = Ejecting(ejection, Sticky(records.port(key("web"), 60), SourceHash([A, B, C])))
    first = ring.pick("10.1.1.1", 0.0)
    assert first is not None
    ejection.failed(first, 0.0)
    second = ring.pick("10.1.1.1", 0.1)
    assert second not in (first, None)
    ejection.reached(first)
    assert ring.pick("10.1.1.1", 2.0) == second


STEPS = st.lists(
    st.one_of(
        st.tuples(st.just("pick"), st.booleans()),
        st.tuples(st.just("wait"), st.floats(0.1, 40)),
        st.tuples(st.just("change"), st.sets(st.sampled_from([A, B, C, D]), min_size=1)),
    ),
    max_size=60,
)


@given(STEPS, st.sets(st.sampled_from([A, B, C, D])), st.integers(1, 3))
def test_matches_a_naive_model(steps: list[tuple[str, object]], broken: set[Address], allowed: int) -> None:
    """Each pick is dialled at once; the model keeps for each endpoint its failures, its rest and when that ends."""
    case, usable, now = Case(A, B, C, D, failures=allowed), [A, B, C, D], 0.0
    failures: dict[Address, int] = {}
    rests: dict[Address, tuple[float, float]] = {}
    for step, argument in steps:
        if step == "wait":
            now += float(argument)  # type: ignore[arg-type]
        elif step == "change":
            usable = sorted(argument)  # type: ignore[call-overload]
            case.update(*usable)
            failures = {one: count for one, count in failures.items() if one in usable}
            rests = {one: rest for one, rest in rests.items() if one in usable}
            while 2 * len(rests) > len(usable):
                del rests[next(iter(rests))]
        else:
            picked = case.ring.pick("", now)
            assert picked is not None
            assert picked not in rests or now >= rests[picked][1]
            assert picked in usable
            if picked in broken and argument:
                case.ejection.failed(picked, now)
                if picked in rests:
                    seconds = min(60.0, 2 * rests[picked][0])
                    rests[picked] = (seconds, now + seconds)
                elif failures.get(picked, 0) + 1 >= allowed and 2 * len(rests) + 2 <= len(usable):
                    failures.pop(picked, None)
                    rests[picked] = (1.0, now + 1.0)
                else:
                    failures[picked] = failures.get(picked, 0) + 1
            else:
                case.ejection.reached(picked)
                failures.pop(picked, None)
                rests.pop(picked, None)
        assert set(case.ejection.ejected) == set(rests)
        assert case.counters.ejected == len(rests) <= len(usable) / 2
