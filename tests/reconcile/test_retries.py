"""Waits that grow while something keeps failing."""

from __future__ import annotations

from userproxy.reconcile.retries import RETRY_SECONDS, Retries


def test_waits_grow_up_to_the_longest() -> None:
    retries = Retries()
    assert [retries.failed() for _ in range(len(RETRY_SECONDS) + 2)] == [
        *RETRY_SECONDS,
        *RETRY_SECONDS[-1:] * 2,
    ]


def test_after_a_success_they_begin_anew() -> None:
    retries = Retries()
    retries.failed()
    retries.failed()
    retries.succeeded()
    assert retries.failed() == RETRY_SECONDS[0]
