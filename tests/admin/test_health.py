"""The health server over real HTTP: every row of kube-proxy's table for /healthz and /livez, and /readyz.

States are made with the real SyncHealth and ReadinessLatch; times lie in the past of the real clock.
"""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from datetime import UTC, datetime, timedelta

import pytest

from tests.admin.build import LOOPBACK, Answer, ask, running, sources
from userproxy.admin.health import HealthServer
from userproxy.admin.sources import Sources
from userproxy.core.health import NodeState, ReadinessLatch, StartStep, SyncHealth
from userproxy.model import Family

APPLIED = 1000.0
"""seconds ago"""


def synced() -> SyncHealth:
    health = SyncHealth()
    health.applied(time.monotonic() - APPLIED)
    health.node = NodeState.PRESENT
    return health


def starting() -> SyncHealth:
    return SyncHealth()


def pending() -> SyncHealth:
    health = synced()
    health.queued(None, time.monotonic() - 30.0)
    return health


def stuck() -> SyncHealth:
    health = synced()
    health.queued(None, time.monotonic() - 61.0)
    return health


def stuck_ipv6() -> SyncHealth:
    health = synced()
    health.queued(Family.IPV6, time.monotonic() - 61.0)
    return health


def with_node(state: NodeState) -> Callable[[], SyncHealth]:
    def make() -> SyncHealth:
        health = synced()
        health.node = state
        return health

    return make


def stuck_and_leaving() -> SyncHealth:
    health = stuck()
    health.node = NodeState.LEAVING
    return health


def starting_without_node() -> SyncHealth:
    health = starting()
    health.node = NodeState.ABSENT
    return health


ROWS = [
    # state, /healthz code, /livez code, nodeEligible, healthy, families
    (starting, 200, 200, True, True, {}),
    (synced, 200, 200, True, True, {"IPv4": True, "IPv6": True}),
    (pending, 200, 200, True, True, {"IPv4": True, "IPv6": True}),
    (stuck, 503, 503, True, False, {"IPv4": False, "IPv6": False}),
    (stuck_ipv6, 503, 503, True, False, {"IPv4": True, "IPv6": False}),
    (with_node(NodeState.LEAVING), 503, 200, False, True, {"IPv4": True, "IPv6": True}),
    (with_node(NodeState.ABSENT), 503, 200, False, True, {"IPv4": True, "IPv6": True}),
    (with_node(NodeState.AWAITED), 200, 200, True, True, {"IPv4": True, "IPv6": True}),
    (with_node(NodeState.NOT_WATCHED), 200, 200, True, True, {"IPv4": True, "IPv6": True}),
    (stuck_and_leaving, 503, 503, False, False, {"IPv4": False, "IPv6": False}),
    (starting_without_node, 503, 200, False, True, {}),
]


async def probe(path: str, health: SyncHealth) -> tuple[Answer, Sources]:
    given = sources(health=health.verdict)
    async with running(HealthServer(LOOPBACK, given)) as server:
        return await ask(server, path), given


def ago(text: str) -> float:
    """Return how many seconds ago an RFC 3339 time was."""
    assert text.endswith("Z")
    return (datetime.now(UTC) - datetime.fromisoformat(text)).total_seconds()


def check_body(
    answer: Answer, *, passed: bool, fields: list[str], healthy: bool, families: dict[str, bool]
) -> None:
    assert answer.headers["content-type"] == "application/json"
    assert answer.headers["x-content-type-options"] == "nosniff"
    body = json.loads(answer.body)
    assert answer.text == json.dumps(body, separators=(",", ":")), "compact, in order, no newline"
    assert list(body) == [*fields, *(["status"] if families else [])]
    assert body["healthy"] is healthy
    assert abs(ago(body["currentTime"])) < 5
    if passed:
        assert body["lastUpdated"] == body["currentTime"]
    elif families:
        assert ago(body["lastUpdated"]) == pytest.approx(APPLIED, abs=5)
    else:
        assert body["lastUpdated"] == "0001-01-01T00:00:00Z"
    status = body.get("status", {})
    assert {name: one["healthy"] for name, one in status.items()} == families
    assert list(status) == sorted(status)
    for one in status.values():
        assert list(one) == ["lastUpdated", "healthy"]
        assert ago(one["lastUpdated"]) == pytest.approx(APPLIED, abs=5)


@pytest.mark.parametrize(("state", "code", "_livez", "eligible", "healthy", "families"), ROWS)
async def test_healthz(
    state: Callable[[], SyncHealth],
    code: int,
    _livez: int,
    eligible: bool,
    healthy: bool,
    families: dict[str, bool],
) -> None:
    answer, given = await probe("/healthz", state())
    assert answer.status == code
    fields = ["lastUpdated", "currentTime", "nodeEligible", "healthy"]
    check_body(answer, passed=code == 200, fields=fields, healthy=healthy, families=families)
    assert json.loads(answer.body)["nodeEligible"] is eligible
    assert given.answers.healthz == {200: 0, 503: 0} | {code: 1}
    assert given.answers.livez == {200: 0, 503: 0}


@pytest.mark.parametrize(("state", "_healthz", "code", "_eligible", "healthy", "families"), ROWS)
async def test_livez(
    state: Callable[[], SyncHealth],
    _healthz: int,
    code: int,
    _eligible: bool,
    healthy: bool,
    families: dict[str, bool],
) -> None:
    answer, given = await probe("/livez", state())
    assert answer.status == code
    fields = ["lastUpdated", "currentTime", "healthy"]
    check_body(answer, passed=code == 200, fields=fields, healthy=healthy, families=families)
    assert given.answers.livez == {200: 0, 503: 0} | {code: 1}
    assert given.answers.healthz == {200: 0, 503: 0}


async def test_answers_follow_the_state_and_are_counted() -> None:
    health = synced()
    given = sources(health=health.verdict)
    async with running(HealthServer(LOOPBACK, given)) as server:
        codes = []
        for state in (NodeState.PRESENT, NodeState.LEAVING, NodeState.LEAVING, NodeState.PRESENT):
            health.node = state
            codes.append((await ask(server, "/healthz")).status)
    assert codes == [200, 503, 503, 200]
    assert given.answers.healthz == {200: 2, 503: 2}


async def test_a_failing_answer_keeps_the_time_of_the_last_update() -> None:
    health = stuck()
    async with running(HealthServer(LOOPBACK, sources(health=health.verdict))) as server:
        first, second = [json.loads((await ask(server, "/healthz")).body) for _ in range(2)]
    assert first["lastUpdated"] == second["lastUpdated"]
    later, earlier = (datetime.fromisoformat(one["currentTime"]) for one in (second, first))
    assert timedelta(0) < later - earlier < timedelta(seconds=10)


async def test_readyz_names_what_is_missing_until_all_is_there() -> None:
    latch = ReadinessLatch()
    async with running(HealthServer(LOOPBACK, sources(readiness=latch.reasons))) as server:
        seen = [await ask(server, "/readyz")]
        for step in StartStep:
            latch.reached(step)
            seen.append(await ask(server, "/readyz"))
        latch.stopping()
        seen.append(await ask(server, "/readyz"))
    assert [answer.status for answer in seen] == [503, 503, 503, 200, 503]
    missing = [[line.partition(":")[0] for line in answer.text.splitlines()] for answer in seen]
    assert missing == [
        ["listed", "captured", "listening"],
        ["captured", "listening"],
        ["listening"],
        ["ok"],
        ["stopping"],
    ]
    assert {answer.headers["content-type"] for answer in seen} == {"text/plain; charset=utf-8"}
    assert seen[3].text == "ok"


@pytest.mark.parametrize(
    "path", ["/", "/healthz/", "/healthz/ping", "/metrics", "/status", "/Healthz", "//healthz"]
)
async def test_every_other_path_is_404(path: str) -> None:
    answer, given = await probe(path, synced())
    assert answer.status == 404
    assert sum(given.answers.healthz.values()) == 0


@pytest.mark.parametrize("method", ["GET", "HEAD", "POST", "OPTIONS"])
async def test_no_method_is_refused(method: str) -> None:
    async with running(HealthServer(LOOPBACK, sources(health=synced().verdict))) as server:
        answer = await ask(server, "/healthz?verbose", method)
    assert answer.status == 200
    assert answer.headers["content-type"] == "application/json"
    assert bool(answer.body) == (method != "HEAD")


async def test_disabled_by_an_empty_address() -> None:
    async with running(HealthServer(None, sources())) as server:
        assert server.address is None
