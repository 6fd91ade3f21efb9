"""The recorded streams of a real API server give the same table as its final lists, in each scenario."""

from __future__ import annotations

from collections.abc import Iterable

import pytest

from tests.kube.transcripts import replayed_stores, scenarios
from userproxy.api_objects import Changes
from userproxy.core.table import ServiceTable
from userproxy.model import ServiceName, ServicePort


def table_of(batches: Iterable[Changes]) -> dict[ServiceName, tuple[ServicePort, ...]]:
    table = ServiceTable()
    for batch in batches:
        table.apply(batch)
    return {name: tuple(table.service_ports(name)) for name in table.services()}


@pytest.mark.parametrize("scenario", scenarios())
@pytest.mark.parametrize("streaming_list", [True, False], ids=["streaming-list", "plain-list"])
async def test_same_table(scenario: str, streaming_list: bool) -> None:
    replay = await replayed_stores(scenario, streaming_list=streaming_list)
    final = [
        Changes(resource, tuple(objects.values()), (), True) for resource, objects in replay.final.items()
    ]
    assert table_of(replay.changes) == table_of(final)
