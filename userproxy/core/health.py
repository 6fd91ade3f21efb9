"""Verdicts for probes: is the proxy keeping up, may this node take traffic, is everything in place for the first time.

Owns kube-proxy's health rules (PH:Health, QueuedUpdate, Updated, NodeEligible in v1.36) and the readiness latch. Knows nothing
of HTTP (`admin.health` words the answers) and reads no clock: `now` is always seconds of the monotonic clock.
The reachability of the API server is no part of any verdict: its restart must not restart every proxy.
"""

from __future__ import annotations

import enum
from collections.abc import Iterable

import msgspec

from userproxy.api_objects import Node
from userproxy.model import Family

HEALTH_TIMEOUT = 60.0
"""Seconds a change may stay unapplied before health turns bad; kube-proxy's 2 x syncPeriod (SRV:255)."""


class NodeState(enum.Enum):
    """What is known of our own Node."""

    NOT_WATCHED = "not watched"
    AWAITED = "not listed yet"
    PRESENT = "present"
    LEAVING = "leaving"
    ABSENT = "not found"

    @property
    def eligible(self) -> bool:
        """Whether load balancers may send traffic here; true until a Node event says the contrary."""
        return self not in (NodeState.LEAVING, NodeState.ABSENT)


def node_state(node: Node | None, *, watched: bool, listed: bool) -> NodeState:
    """Return the state of our own Node; `node` is the last one seen, `listed` whether its watch listed once."""
    if not watched:
        return NodeState.NOT_WATCHED
    if node is not None:
        return NodeState.LEAVING if node.leaving else NodeState.PRESENT
    return NodeState.ABSENT if listed else NodeState.AWAITED


class FamilyHealth(msgspec.Struct, frozen=True):
    """Whether one IP family keeps up, and when its changes were last applied."""

    family: Family
    healthy: bool
    last_applied: float


class HealthVerdict(msgspec.Struct, frozen=True):
    """What probes are told. `families` is empty until something was applied."""

    healthy: bool
    node_eligible: bool
    last_applied: float | None
    last_queued: float | None
    families: tuple[FamilyHealth, ...]


class SyncHealth:
    """Follows changes from queued to applied, for each IP family.

    A family is unhealthy when it was applied at least once and its oldest unapplied change is `timeout` seconds old or older.
    An idle proxy is healthy for ever, and so is one that still starts. One writer: the reconcile loop, which also sets `node`.
    """

    def __init__(
        self, families: Iterable[Family] = (Family.IPV4, Family.IPV6), timeout: float = HEALTH_TIMEOUT
    ) -> None:
        self._families = tuple(families)
        self._timeout = timeout
        self._oldest: dict[Family, float] = {}
        self._newest: dict[Family, float] = {}
        self._applied: dict[Family, float] = {}
        self._last_queued: float | None = None
        self.node = NodeState.NOT_WATCHED

    def queued(self, family: Family | None, now: float) -> None:
        """A change that concerns `family` (None: every family) waits to be applied."""
        for one in self._concerned(family):
            self._oldest.setdefault(one, now)
            self._newest[one] = now
        self._last_queued = now

    def applied(self, now: float, *, until: float | None = None, family: Family | None = None) -> None:
        """Everything queued up to `until` (default: now) is in effect for `family` (None: every family).

        `until` is when the changes were taken: what was queued while they were being applied still waits. Called once when
        the loop starts, then after each success; a failure is told by not calling it.
        """
        taken = now if until is None else until
        for one in self._concerned(family):
            self._applied[one] = now
            if self._newest.get(one, taken) <= taken:
                self._oldest.pop(one, None)
            else:
                self._oldest[one] = max(self._oldest[one], taken)

    def verdict(self, now: float) -> HealthVerdict:
        """Return what probes are told at `now`."""
        families = tuple(
            FamilyHealth(one, now - self._oldest.get(one, now) < self._timeout, self._applied[one])
            for one in self._families
            if one in self._applied
        )
        return HealthVerdict(
            healthy=all(one.healthy for one in families),
            node_eligible=self.node.eligible,
            last_applied=max((one.last_applied for one in families), default=None),
            last_queued=self._last_queued,
            families=families,
        )

    def _concerned(self, family: Family | None) -> tuple[Family, ...]:
        return self._families if family is None else (family,)


class StartStep(enum.Enum):
    """What must have happened once before traffic can be served; values are the words of `/readyz`."""

    LISTED = "listed"
    CAPTURED = "captured"
    LISTENING = "listening"


_WAITING = {
    StartStep.LISTED: "Services and EndpointSlices have not been listed in full yet",
    StartStep.CAPTURED: "capture has not been set up yet",
    StartStep.LISTENING: "the first plan has not been applied yet, listeners are not open",
}


class ReadinessLatch:
    """Remembers which start steps were reached. A step once reached stays so; stopping ends readiness for good."""

    def __init__(self) -> None:
        self._waiting = dict(_WAITING)
        self._stopping = False

    def reached(self, step: StartStep) -> None:
        """`step` has happened."""
        self._waiting.pop(step, None)

    def waits(self, step: StartStep, reason: str) -> None:
        """Say in one line why `step` has not happened; ignored when it has."""
        if step in self._waiting:
            self._waiting[step] = reason

    def stopping(self) -> None:
        """The process ends: never ready again."""
        self._stopping = True

    def reasons(self) -> tuple[str, ...]:
        """Return why traffic is not served yet, one line each, in start order; empty when ready."""
        waiting = tuple(f"{step.value}: {reason}" for step, reason in self._waiting.items())
        return (*waiting, "stopping: connections are being drained") if self._stopping else waiting
