"""source-hash: the same answer everywhere, even shares, and only the clients of what left or joined move."""

from __future__ import annotations

from collections import Counter

import pytest
from hypothesis import given
from hypothesis import strategies as st

from userproxy.core.balancer_hash import SourceHash, number_of

CLIENTS = [f"10.244.{n // 250}.{n % 250}" for n in range(2000)]
MEMBERS = st.sets(st.integers(0, 30), min_size=1)


def addresses(numbers: set[int]) -> list[tuple[str, int]]:
    return [(f"10.1.0.{n}", 8080) for n in sorted(numbers)]


def test_numbers_are_those_of_every_process_and_version() -> None:
    assert number_of("10.0.0.1") == 1409334517701608427
    assert number_of("2001:db8::1") == 1719041005672462867


def test_nothing_to_pick() -> None:
    assert SourceHash().pick("10.0.0.1") is None
    assert SourceHash().pick_other([]) is None


@given(MEMBERS, st.ip_addresses(), st.randoms())
def test_the_order_of_the_endpoints_does_not_matter(members: set[int], client: object, order: object) -> None:
    endpoints = addresses(members)
    shuffled = list(endpoints)
    order.shuffle(shuffled)  # type: ignore[attr-defined]
    changed = SourceHash([("10.9.9.9", 1), *endpoints[:1]])
    changed.update(shuffled)
    assert SourceHash(endpoints).pick(str(client)) == changed.pick(str(client))
    assert changed.upcoming() == tuple(shuffled)


@given(MEMBERS, st.ip_addresses())
def test_other_endpoints_come_as_if_those_tried_had_left(members: set[int], client: object) -> None:
    endpoints = addresses(members)
    one, tried = SourceHash(endpoints), list[tuple[str, int]]()
    for _ in endpoints:
        left = SourceHash([endpoint for endpoint in endpoints if endpoint not in tried])
        picked = one.pick_other(tried, str(client))
        assert picked is not None
        assert picked == left.pick(str(client))
        tried.append(picked)
    assert one.pick_other(tried, str(client)) is None


@given(MEMBERS, st.integers(0, 30))
def test_only_clients_of_the_endpoint_that_left_move(members: set[int], gone: int) -> None:
    before, after = SourceHash(addresses(members | {gone})), SourceHash(addresses(members - {gone}))
    for client in CLIENTS[:50]:
        had = before.pick(client)
        if had != (f"10.1.0.{gone}", 8080):
            assert after.pick(client) == had


@pytest.mark.parametrize("size", [2, 3, 10, 40])
def test_shares_are_even(size: int) -> None:
    endpoints = addresses(set(range(1, size + 1)))
    one = SourceHash(endpoints)
    shares = Counter(one.pick(client) for client in CLIENTS)
    expected = len(CLIENTS) / size
    # Five standard deviations of a fair draw: these clients are fixed, so this holds always or never.
    assert all(abs(shares[endpoint] - expected) < 5 * expected**0.5 for endpoint in endpoints)
