"""Health verdicts, node eligibility and the readiness latch.

Times are plain numbers; every rule of kube-proxy's health computation has its case.
"""

from __future__ import annotations

import pytest

from userproxy.api_objects import Node
from userproxy.core.health import (
    HEALTH_TIMEOUT,
    FamilyHealth,
    HealthVerdict,
    NodeState,
    ReadinessLatch,
    StartStep,
    SyncHealth,
    node_state,
)
from userproxy.model import Family

V4, V6 = Family.IPV4, Family.IPV6


def healthy(health: SyncHealth, now: float) -> dict[Family, bool]:
    """Return the verdict of each family."""
    return {one.family: one.healthy for one in health.verdict(now).families}


def test_before_the_first_sync_it_is_healthy_and_says_nothing_of_families() -> None:
    health = SyncHealth()
    assert health.verdict(5.0) == HealthVerdict(True, True, None, None, ())
    health.queued(None, 5.0)
    assert health.verdict(1000.0) == HealthVerdict(True, True, None, 5.0, ())


def test_idle_is_healthy_for_ever() -> None:
    health = SyncHealth()
    health.applied(1.0)
    assert health.verdict(1e9) == HealthVerdict(
        True, True, 1.0, None, (FamilyHealth(V4, True, 1.0), FamilyHealth(V6, True, 1.0))
    )


def test_the_default_timeout_is_a_minute() -> None:
    assert HEALTH_TIMEOUT == 60.0


def test_unhealthy_from_the_timeout_on_and_healthy_when_applied() -> None:
    health = SyncHealth(timeout=60.0)
    health.applied(0.0)
    health.queued(None, 100.0)
    assert health.verdict(159.999).healthy
    assert not health.verdict(160.0).healthy
    health.applied(200.0)
    assert health.verdict(200.0) == HealthVerdict(
        True, True, 200.0, 100.0, (FamilyHealth(V4, True, 200.0), FamilyHealth(V6, True, 200.0))
    )
    assert health.verdict(10_000.0).healthy


def test_the_oldest_pending_change_counts() -> None:
    health = SyncHealth(timeout=60.0)
    health.applied(0.0)
    health.queued(None, 10.0)
    health.queued(None, 69.0)
    assert health.verdict(69.9).healthy
    assert not health.verdict(70.0).healthy
    assert health.verdict(70.0).last_queued == 69.0


def test_families_are_judged_apart() -> None:
    health = SyncHealth(timeout=60.0)
    health.applied(0.0)
    health.queued(V6, 0.0)
    assert healthy(health, 60.0) == {V4: True, V6: False}
    assert not health.verdict(60.0).healthy
    health.applied(61.0, family=V4)
    assert healthy(health, 62.0) == {V4: True, V6: False}
    health.applied(63.0, family=V6)
    verdict = health.verdict(64.0)
    assert verdict.healthy
    assert verdict.families == (FamilyHealth(V4, True, 61.0), FamilyHealth(V6, True, 63.0))
    assert verdict.last_applied == 63.0


def test_a_family_never_applied_is_not_judged() -> None:
    health = SyncHealth(timeout=60.0)
    health.applied(0.0, family=V4)
    health.queued(None, 0.0)
    assert healthy(health, 60.0) == {V4: False}


def test_a_single_family() -> None:
    health = SyncHealth((V4,))
    health.applied(1.0)
    health.queued(None, 1.0)
    assert healthy(health, 2.0) == {V4: True}


def test_what_was_queued_while_applying_still_waits() -> None:
    health = SyncHealth(timeout=60.0)
    health.applied(0.0)
    health.queued(None, 10.0)
    # Taken at 11, then another change came, and the apply took until 20.
    health.queued(None, 15.0)
    health.applied(20.0, until=11.0)
    assert health.verdict(70.9).healthy
    assert not health.verdict(71.0).healthy, "the change of 15.0 is at most as old as the take"
    health.applied(80.0, until=79.0)
    assert health.verdict(1000.0).healthy


def test_a_change_queued_after_the_take_keeps_its_own_time() -> None:
    health = SyncHealth(timeout=60.0)
    health.applied(0.0)
    health.queued(None, 15.0)
    health.applied(20.0, until=11.0)
    assert health.verdict(74.9).healthy
    assert not health.verdict(75.0).healthy


@pytest.mark.parametrize("state", list(NodeState))
def test_only_a_leaving_or_missing_node_is_not_eligible(state: NodeState) -> None:
    health = SyncHealth()
    health.node = state
    verdict = health.verdict(0.0)
    assert verdict.node_eligible == (state not in {NodeState.LEAVING, NodeState.ABSENT})
    assert verdict.healthy, "the node says nothing about the proxy"


@pytest.mark.parametrize(
    ("node", "watched", "listed", "state"),
    [
        (None, False, False, NodeState.NOT_WATCHED),
        (Node("n", leaving=True), False, True, NodeState.NOT_WATCHED),
        (None, True, False, NodeState.AWAITED),
        (None, True, True, NodeState.ABSENT),
        (Node("n"), True, True, NodeState.PRESENT),
        (Node("n", leaving=True), True, True, NodeState.LEAVING),
    ],
)
def test_node_state(node: Node | None, watched: bool, listed: bool, state: NodeState) -> None:
    assert node_state(node, watched=watched, listed=listed) is state


def test_ready_when_every_step_was_reached_in_any_order() -> None:
    latch = ReadinessLatch()
    assert [reason.partition(":")[0] for reason in latch.reasons()] == ["listed", "captured", "listening"]
    latch.reached(StartStep.LISTENING)
    latch.reached(StartStep.LISTED)
    assert [reason.partition(":")[0] for reason in latch.reasons()] == ["captured"]
    latch.reached(StartStep.CAPTURED)
    assert latch.reasons() == ()


def test_a_step_can_say_why_it_waits_until_it_is_reached() -> None:
    latch = ReadinessLatch()
    latch.waits(StartStep.CAPTURED, "nft: permission denied")
    assert latch.reasons()[1] == "captured: nft: permission denied"
    latch.reached(StartStep.CAPTURED)
    latch.waits(StartStep.CAPTURED, "a repair is under way")
    latch.reached(StartStep.CAPTURED)
    assert [reason.partition(":")[0] for reason in latch.reasons()] == ["listed", "listening"]


def test_stopping_ends_readiness() -> None:
    latch = ReadinessLatch()
    for step in StartStep:
        latch.reached(step)
    latch.stopping()
    assert latch.reasons() == ("stopping: connections are being drained",)
