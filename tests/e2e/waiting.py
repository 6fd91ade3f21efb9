"""Waiting for what happens soon in another process, with a bound.

Owns the loop and its message; conditions are the tests'.
"""

from __future__ import annotations

import time
from collections.abc import Callable


def until(condition: Callable[[], bool], seconds: float = 5.0, *, pause: float = 0.05) -> float:
    """Return how many seconds it took until `condition` held; fails when it does not hold in time."""
    began = time.monotonic()
    while not condition():
        assert time.monotonic() - began < seconds, f"not within {seconds} s"
        time.sleep(pause)
    return time.monotonic() - began
