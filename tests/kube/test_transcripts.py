"""The recorded scenarios of a real API server, replayed: the store must end up as the recorded final lists say."""

from __future__ import annotations

import pytest

from tests.kube.transcripts import replayed_stores, scenarios


@pytest.mark.parametrize("scenario", scenarios())
async def test_replay_equals_the_final_lists(scenario: str) -> None:
    replay = await replayed_stores(scenario)
    assert replay.stores["services"] == replay.final["services"]
    assert replay.stores["endpointslices"] == replay.final["endpointslices"]
    assert replay.final["services"], "every recording has at least the Service of the API server"


@pytest.mark.parametrize("scenario", ["rolling-update", "service-proxy-name"])
async def test_replay_without_streaming_list(scenario: str) -> None:
    replay = await replayed_stores(scenario, streaming_list=False)
    assert replay.stores["services"] == replay.final["services"]
    assert replay.stores["endpointslices"] == replay.final["endpointslices"]


def test_all_recordings_are_there() -> None:
    assert len(scenarios()) >= 32
