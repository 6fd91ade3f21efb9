"""How long what failed waits before it is tried again.

Owns the waits, which grow while it keeps failing. What is tried again is the caller's.
"""

from __future__ import annotations

RETRY_SECONDS = (0.5, 1.0, 2.0, 5.0, 10.0, 30.0)
"""Waits before a listener that could not be opened, or a refused capture change, is tried again."""


class Retries:
    """The waits of one thing that may fail."""

    def __init__(self) -> None:
        self._failures = 0

    def failed(self) -> float:
        """Return the seconds to wait after one more failure."""
        wait = RETRY_SECONDS[min(self._failures, len(RETRY_SECONDS) - 1)]
        self._failures += 1
        return wait

    def succeeded(self) -> None:
        """Begin with the shortest wait at the next failure."""
        self._failures = 0
