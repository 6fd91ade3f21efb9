"""Rows 1.4.4, 1.4.5 and 1.4.7: ready endpoints first, else those that serve while they terminate, never others."""

from __future__ import annotations

import itertools

import pytest

from userproxy.core.topology import usable
from userproxy.model import Endpoint

READY = Endpoint("10.0.0.1", 80)
READY_TERMINATING = Endpoint("10.0.0.2", 80, ready=True, serving=False, terminating=True)
SERVING_TERMINATING = Endpoint("10.0.0.3", 80, ready=False, serving=True, terminating=True)
UNREADY = Endpoint("10.0.0.4", 80, ready=False, serving=False)
UNREADY_SERVING = Endpoint("10.0.0.5", 80, ready=False, serving=True)
TERMINATING = Endpoint("10.0.0.6", 80, ready=False, serving=False, terminating=True)
ALL = [READY, READY_TERMINATING, SERVING_TERMINATING, UNREADY, UNREADY_SERVING, TERMINATING]


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        ([], []),
        ([READY, UNREADY], [READY]),
        ([SERVING_TERMINATING, READY], [READY]),
        ([READY_TERMINATING], [READY_TERMINATING]),
        ([SERVING_TERMINATING, UNREADY, TERMINATING], [SERVING_TERMINATING]),
        ([UNREADY, TERMINATING, UNREADY_SERVING], []),
    ],
)
def test_tiers(given: list[Endpoint], expected: list[Endpoint]) -> None:
    assert usable(given) == tuple(expected)


def test_never_an_endpoint_that_is_neither_ready_nor_serving_while_terminating() -> None:
    for size in range(len(ALL) + 1):
        for given in itertools.combinations(ALL, size):
            for one in usable(given):
                assert one.ready or (one.serving and one.terminating)
            if any(one.ready for one in given):
                assert all(one.ready for one in usable(given))
