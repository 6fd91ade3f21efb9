"""Monotonic times as calendar times, for answers that people and dashboards read.

Owns the one place where both clocks meet. Everything else in this program keeps monotonic seconds, which a step of the
system clock cannot disturb.
"""

from __future__ import annotations

import time
from datetime import UTC, datetime

_STEP_SECONDS = 0.5


class WallClock:
    """Turns monotonic seconds into UTC.

    The distance between the clocks is kept until the system clock is stepped, so that one moment always reads the same.
    """

    def __init__(self) -> None:
        self._distance = time.time() - time.monotonic()

    def unix(self, moment: float) -> float:
        """Return the Unix time of a moment of the monotonic clock."""
        distance = time.time() - time.monotonic()
        if abs(distance - self._distance) > _STEP_SECONDS:
            self._distance = distance
        return moment + self._distance

    def at(self, moment: float) -> datetime:
        """Return a moment of the monotonic clock as a UTC datetime."""
        return datetime.fromtimestamp(self.unix(moment), UTC)
