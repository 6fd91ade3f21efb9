"""How long to wait before the API server is asked again.

Owns the growth, the jitter and the reset of the delay (client-go's reflector: 0.8 s doubled up to 30 s, back to the start
after 2 minutes of health). Does not sleep; clock and random numbers come in as arguments.
"""

from __future__ import annotations

from collections.abc import Callable


class Backoff:
    """The delay after each failure of one watch.

    A delay lies between the half and the whole of the present step, so that nodes which lost the server at one moment do not
    come back at one moment. All times are seconds.
    """

    def __init__(
        self,
        first: float,
        longest: float,
        reset_after: float,
        clock: Callable[[], float],
        rng: Callable[[], float],
    ) -> None:
        """`clock` is monotonic; `rng` gives numbers in [0, 1)."""
        self._first = first
        self._longest = longest
        self._reset_after = reset_after
        self._clock = clock
        self._rng = rng
        self._step = first
        self._healthy_since: float | None = None

    def succeeded(self) -> None:
        """Note that the server works; only the first call after a failure counts."""
        if self._healthy_since is None:
            self._healthy_since = self._clock()

    def next_delay(self) -> float:
        """Return the delay after a failure, and make the next one longer."""
        if self._healthy_since is not None and self._clock() - self._healthy_since >= self._reset_after:
            self._step = self._first
        self._healthy_since = None
        step = self._step
        self._step = min(step * 2, self._longest)
        return step * (1 + self._rng()) / 2
