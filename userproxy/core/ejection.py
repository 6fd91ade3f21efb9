"""Passive ejection: an endpoint whose dials keep failing rests for a while.

Owns the state of each endpoint of one Service port in one worker: failures in a row, how long it rests, its trial. What a
failed dial is, and when it failed, is told by whoever dials.
"""

from __future__ import annotations

from collections.abc import Collection

import msgspec

from userproxy.core.balancer import Balancer
from userproxy.core.counters import PortCounters
from userproxy.model import Address

FIRST_REST = 1.0
"""Seconds an endpoint rests at first; each failed trial doubles them."""
LONGEST_REST = 60.0
TRIAL_SECONDS = 5.0
"""How long a trial connection may take to tell something, more than any dial takes; then the next one is the trial."""


class Rest(msgspec.Struct):
    """An ejected endpoint: it gets nothing before `until`; after a trial began, that is when the next one may."""

    seconds: float
    until: float
    on_trial: bool = False


class Ejection:
    """Which endpoints of a Service port rest. Never more than half of them, so one alone never does."""

    __slots__ = ("_allowed", "_counters", "_endpoints", "_failures", "_resting")

    def __init__(self, failures: int, counters: PortCounters) -> None:
        self._allowed = failures
        self._counters = counters
        self._endpoints: frozenset[Address] = frozenset()
        self._failures: dict[Address, int] = {}
        self._resting: dict[Address, Rest] = {}

    @property
    def ejected(self) -> Collection[Address]:
        """The endpoints that are ejected: resting, or waiting for what their trial says."""
        return self._resting.keys()

    def update(self, endpoints: Collection[Address]) -> None:
        """Replace the endpoints, those of both sets. One that leaves is forgotten; beyond half those ejected first return."""
        self._endpoints = frozenset(endpoints)
        self._failures = {one: count for one, count in self._failures.items() if one in self._endpoints}
        self._resting = {one: rest for one, rest in self._resting.items() if one in self._endpoints}
        while 2 * len(self._resting) > len(self._endpoints):
            del self._resting[next(iter(self._resting))]
        self._count()

    def set_failures(self, failures: int) -> None:
        """Set after how many failed dials in a row an endpoint rests; those that rest already stay so."""
        self._allowed = failures

    def closed_to(self, now: float) -> list[Address]:
        """Return the endpoints that get no connection now."""
        return [one for one, rest in self._resting.items() if now < rest.until]

    def picked(self, endpoint: Address, now: float) -> None:
        """A connection goes to `endpoint`: if its rest is over, this is its trial, and no other goes there meanwhile."""
        rest = self._resting.get(endpoint)
        if rest is not None and now >= rest.until:
            rest.until = now + TRIAL_SECONDS
            rest.on_trial = True

    def reached(self, endpoint: Address) -> None:
        """A dial to `endpoint` was answered: whatever was before is forgotten."""
        self._failures.pop(endpoint, None)
        if self._resting.pop(endpoint, None) is not None:
            self._count()

    def failed(self, endpoint: Address, now: float) -> None:
        """A dial to `endpoint` failed: eject it after enough of them in a row, or let it rest twice as long after its trial."""
        rest = self._resting.get(endpoint)
        if rest is not None:
            # Dials begun before the ejection may fail after it; only a trial's end says something new.
            if rest.on_trial:
                seconds = min(2 * rest.seconds, LONGEST_REST)
                self._resting[endpoint] = Rest(seconds, now + seconds)
            return
        if endpoint not in self._endpoints:
            return
        failures = self._failures[endpoint] = self._failures.get(endpoint, 0) + 1
        if failures >= self._allowed and 2 * (len(self._resting) + 1) <= len(self._endpoints):
            del self._failures[endpoint]
            self._resting[endpoint] = Rest(FIRST_REST, now + FIRST_REST)
            self._counters.ejections += 1
            self._count()

    def _count(self) -> None:
        self._counters.ejected = len(self._resting)


class Ejecting:
    """A balancer that leaves out what `ejection` says, as long as anything else is left."""

    __slots__ = ("_balancer", "_ejection")

    def __init__(self, ejection: Ejection, balancer: Balancer) -> None:
        self._ejection = ejection
        self._balancer = balancer

    def pick(self, client: str = "", now: float = 0.0) -> Address | None:
        """Return the endpoint for a new connection; a resting one only when there is no other."""
        if not self._ejection.ejected:
            return self._balancer.pick(client, now)
        endpoint = self._balancer.pick_other(self._ejection.closed_to(now), client, now)
        if endpoint is None:
            return self._balancer.pick(client, now)
        self._ejection.picked(endpoint, now)
        return endpoint

    def pick_other(self, tried: Collection[Address], client: str = "", now: float = 0.0) -> Address | None:
        """Return an endpoint that is not in `tried`; a resting one only when there is no other. None when all were tried."""
        if not self._ejection.ejected:
            return self._balancer.pick_other(tried, client, now)
        endpoint = self._balancer.pick_other([*tried, *self._ejection.closed_to(now)], client, now)
        if endpoint is None:
            return self._balancer.pick_other(tried, client, now)
        self._ejection.picked(endpoint, now)
        return endpoint

    def update(self, endpoints: Collection[Address]) -> None:
        """Replace the endpoints of this set; `Ejection.update` gets those of both."""
        self._balancer.update(endpoints)

    def upcoming(self) -> tuple[Address, ...]:
        """Return the endpoints as the balancer under it does, the ejected ones last."""
        return tuple(sorted(self._balancer.upcoming(), key=self._ejection.ejected.__contains__))
