"""`/explain` and `/connections` over real HTTP: answers decode as what they are, bad queries are told."""

from __future__ import annotations

import msgspec
import pytest

from tests.admin.build import LOOPBACK, ask, key, running, sources
from tests.build import service
from tests.core.test_explain import READY, world
from userproxy.admin.metrics import MetricsServer
from userproxy.core.connection_view import ConnectionsView
from userproxy.core.explanation import Explanation, WorkerTurns
from userproxy.core.inspection import Inspection, OpenConnection
from userproxy.model import PortKey

RING = (("10.244.0.2", 8080), ("10.244.0.1", 8080))


async def inside(wanted: PortKey | None, limit: int) -> tuple[Inspection, ...]:
    """One worker with two connections."""
    connections = [
        OpenConnection(key(name), ("10.0.0.9", 1000 + n), RING[0], float(n), True, 1, 2)
        for n, name in enumerate(("a", "b"))
    ]
    return (Inspection(0, RING if wanted else (), (), tuple(connections[:limit]), 2),)


async def test_an_explanation_with_turns() -> None:
    served = sources(world=lambda: world([service("web")], [READY]), inspect=inside)
    async with running(MetricsServer(LOOPBACK, served)) as server:
        answer = await ask(server, "/explain?target=10.96.0.10%3A80&from=10.0.0.9")
    explanation = msgspec.json.decode(answer.text, type=Explanation)
    assert explanation.answer.startswith("carried")
    assert explanation.source == "10.0.0.9"
    assert explanation.ports[0].turns == (WorkerTurns(0, ("10.244.0.2:8080", "10.244.0.1:8080"), ()),)


async def test_an_explanation_of_what_has_no_endpoints_needs_no_workers() -> None:
    async def never(wanted: PortKey | None, limit: int) -> tuple[Inspection, ...]:
        raise AssertionError("asked")

    served = sources(world=lambda: world([service("web")]), inspect=never)
    async with running(MetricsServer(LOOPBACK, served)) as server:
        answer = await ask(server, "/explain?target=svc/web")
    assert msgspec.json.decode(answer.text, type=Explanation).ports[0].turns == ()


async def test_connections_name_clients_and_so_are_not_for_everybody() -> None:
    async with running(MetricsServer(LOOPBACK, sources(inspect=inside), live=False)) as server:
        assert (await ask(server, "/connections")).status == 404
        assert (await ask(server, "/explain?target=svc/web")).status == 200


@pytest.mark.parametrize(
    ("query", "count"),
    [("", 2), ("?limit=1", 1), ("?limit=99999", 2), ("?service=a", 1), ("?namespace=other", 0)],
)
async def test_connections(query: str, count: int) -> None:
    async with running(MetricsServer(LOOPBACK, sources(inspect=inside))) as server:
        answer = await ask(server, f"/connections{query}")
    view = msgspec.json.decode(answer.text, type=ConnectionsView)
    assert (view.open, len(view.connections)) == (2, count)


@pytest.mark.parametrize(
    ("path", "says"),
    [
        ("/explain", "names nothing"),
        ("/explain?target=nonsense", "'nonsense' names nothing"),
        ("/explain?target=svc/web&from=me", "--from: 'me'"),
        ("/connections?limit=many", "limit: 'many' is not a number"),
    ],
)
async def test_bad_queries_are_refused(path: str, says: str) -> None:
    async with running(MetricsServer(LOOPBACK, sources())) as server:
        answer = await ask(server, path)
    assert answer.status == 400
    assert says in answer.text
