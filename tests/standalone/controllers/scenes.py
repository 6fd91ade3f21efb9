"""A registry with controllers on it, in this process; and recorded scenarios as lists of inputs and expected outputs.

Owns what the tests of controllers share. In a scenario every line is an input event, or a step with the objects that a real
cluster had after it.
"""

from __future__ import annotations

import contextlib
import gzip
import json
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any

from userproxy.standalone.addresses import ServiceAddresses, parse_service_cidr
from userproxy.standalone.conforming import conform_thoroughly
from userproxy.standalone.controllers.in_process import InProcess
from userproxy.standalone.controllers.loop import Controllers
from userproxy.standalone.controllers.state import Settings
from userproxy.standalone.kinds import ENDPOINT_SLICE, ENDPOINTS, Kind
from userproxy.standalone.objects import Json
from userproxy.standalone.registry import Registry
from userproxy.standalone.store import MemoryStore

DATA = Path(__file__).parent / "data"
SCENARIOS = sorted(path.name.removesuffix(".jsonl.gz") for path in DATA.glob("*.jsonl.gz"))


def scenario(name: str) -> Iterator[Json]:
    with gzip.open(DATA / f"{name}.jsonl.gz", "rt") as file:
        for line in file:
            yield json.loads(line)


def new_registry() -> Registry:
    store = MemoryStore()
    cidr = parse_service_cidr("10.96.0.0/16,fd00:10:96::/112")
    registry = Registry(store, ServiceAddresses(store, cidr))
    registry.create_initial_objects()
    return registry


class Checked(InProcess):
    """This process's registry, and a look at whether what controllers write may be stored as it is."""

    async def create(self, kind: Kind, item: Json) -> Json:
        check_prepared(kind, item)
        return await super().create(kind, item)

    async def replace(self, kind: Kind, item: Json) -> Json:
        check_prepared(kind, item)
        return await super().replace(kind, item)


def check_prepared(kind: Kind, item: Json) -> None:
    """Bringing Endpoints and slices into shape and filling in defaults must change nothing, not even an order."""
    if kind not in (ENDPOINTS, ENDPOINT_SLICE):
        return
    made = conform_thoroughly({**item, "metadata": {}}, kind.shape)
    kind.default(made.item)
    assert made.unknown == []
    assert json.dumps(made.item) == json.dumps({**item, "metadata": {}})
    metadata = conform_thoroughly({"metadata": item["metadata"]}, kind.shape).item["metadata"]
    for field, value in metadata.items():
        assert json.dumps(value) == json.dumps(item["metadata"][field])
    assert metadata.keys() == item["metadata"].keys()


@contextlib.asynccontextmanager
async def controlled(settings: Settings | None = None) -> AsyncIterator[tuple[Registry, Controllers]]:
    registry = new_registry()
    controllers = Controllers(Checked(registry), settings)
    async with controllers.following():
        yield registry, controllers


def pod(name: str, address: str, *, ready: bool = True, **labels: str) -> Json:
    return {
        "metadata": {"name": name, "labels": labels or {"app": "web"}},
        "spec": {"containers": [{"name": "c", "ports": [{"name": "http", "containerPort": 8080}]}]},
        "status": {
            "phase": "Running",
            "podIP": address,
            "conditions": [{"type": "Ready", "status": str(ready)}],
        },
    }


def service(name: str, **spec: Any) -> Json:
    return {"metadata": {"name": name}, "spec": {"selector": {"app": "web"}, "ports": [{"port": 80}], **spec}}


def stored(registry: Registry, kind: Kind, namespace: str = "default") -> list[Json]:
    return [item for _key, item in registry.store.items(kind, prefix=f"{namespace}/")]


def slices(registry: Registry) -> list[Json]:
    return stored(registry, ENDPOINT_SLICE)


def ready_addresses(registry: Registry) -> list[str]:
    return sorted(
        address
        for item in slices(registry)
        for endpoint in item["endpoints"] or []
        if endpoint["conditions"]["ready"]
        for address in endpoint["addresses"]
    )


def comparable(items: list[Json]) -> list[Json]:
    """Objects without names, versions and times, in an order of their own."""
    return sorted((_comparable(item) for item in items), key=lambda item: json.dumps(item, sort_keys=True))


_UNLIKE = (
    "name",
    "generateName",
    "uid",
    "resourceVersion",
    "generation",
    "creationTimestamp",
    "managedFields",
)


def _comparable(item: Json) -> Json:
    metadata = {key: value for key, value in item["metadata"].items() if key not in _UNLIKE}
    annotations = metadata.get("annotations", {})
    if "endpoints.kubernetes.io/last-change-trigger-time" in annotations:
        metadata["annotations"] = annotations | {"endpoints.kubernetes.io/last-change-trigger-time": "<time>"}
    for reference in metadata.get("ownerReferences", []):
        if reference["kind"] == "Endpoints":  # which may be an output itself, with a uid of its own
            metadata["ownerReferences"] = [{**reference, "uid": "<uid>"}]
    result = {"metadata": metadata}
    if "subsets" in item:
        # a real server orders ports by a hash
        subsets = [{**subset, "ports": _sorted(subset.get("ports"))} for subset in item["subsets"]]
        result["subsets"] = _sorted(subsets)
    if "addressType" in item:
        result |= {"addressType": item["addressType"]}
        endpoints = item["endpoints"] or []
        if annotated_auto(item):
            result["hints"] = sorted(json.dumps(endpoint.get("hints")) for endpoint in endpoints)
            endpoints = [{**endpoint, "hints": None} for endpoint in endpoints]
        result |= {"endpoints": _sorted(endpoints), "ports": _sorted(item["ports"])}
    return result


def annotated_auto(item: Json) -> bool:
    """Whether which endpoint of a zone is lent to another is a matter of chance at a real server."""
    return bool(item["metadata"]["labels"].get("kubernetes.io/service-name") == "topology-auto")


def _sorted(entries: list[Json] | None) -> list[Json]:
    return sorted(entries or [], key=lambda entry: json.dumps(entry, sort_keys=True))


def is_output(item: Json) -> bool:
    return item["metadata"]["name"] != "kubernetes"


OUTPUTS = {"endpoints": ENDPOINTS, "endpointslices": ENDPOINT_SLICE}
