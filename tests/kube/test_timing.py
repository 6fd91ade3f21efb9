"""The default times fit together, and to what a real API server does."""

from __future__ import annotations

from userproxy.kube.timing import WatchTiming

BOOKMARK_PERIOD = 60.8
"""Seconds; the longest pause between two bookmarks in the recordings of a real server."""


def test_a_healthy_stream_is_never_taken_for_a_dead_one() -> None:
    timing = WatchTiming()
    assert timing.read > BOOKMARK_PERIOD * 1.2
    assert timing.server_shortest > timing.read
    assert timing.server_shortest < timing.server_longest


def test_delays() -> None:
    timing = WatchTiming()
    assert timing.first_delay < timing.longest_delay < timing.healthy_after
    assert timing.initial_silence < timing.initial_total
