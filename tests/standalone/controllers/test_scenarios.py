"""Recorded scenarios of a real cluster (v1.36.2): the same Pods, Services and Nodes give the same slices and Endpoints."""

from __future__ import annotations

import pytest

from tests.standalone.controllers.scenes import OUTPUTS, SCENARIOS, comparable, controlled, scenario
from userproxy.standalone.kinds import NAMESPACE, by_kind
from userproxy.standalone.objects import Json, key_of
from userproxy.standalone.registry import Registry


def put(registry: Registry, line: Json) -> None:
    item = line["object"]
    kind = by_kind(item["apiVersion"], item["kind"])
    assert kind is not None, item
    namespace = item["metadata"].get("namespace", "")
    if namespace and registry.store.get(NAMESPACE, namespace) is None:
        registry.create(NAMESPACE, "", {"metadata": {"name": namespace}})
    if line["type"] != "DELETED":
        registry.store.put(kind, item)
    elif registry.store.get(kind, key_of(item)) is not None:
        registry.store.delete(kind, key_of(item))


@pytest.mark.parametrize("name", SCENARIOS)
async def test_what_a_real_cluster_made_of_it(name: str) -> None:
    compared = 0
    async with controlled() as (registry, controllers):
        for line in scenario(name):
            if "step" not in line:
                put(registry, line)
                if line["type"] != "GIVEN":
                    await controllers.settle()
                continue
            await controllers.settle()
            for field, kind in OUTPUTS.items():
                if field in line:
                    made = [item for _key, item in registry.store.items(kind)]
                    assert comparable(made) == comparable(line[field]), (line["step"], field)
                    compared += 1
    assert compared
