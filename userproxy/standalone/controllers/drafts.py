"""EndpointSlices in the making: new ones, changed ones, ones to go, and how these become as few writes as possible.

Pure; shared by the slice and the mirroring controller. Source: `k8s.io/endpointslice/reconciler.go` (finalize).
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import msgspec

from userproxy.standalone.controllers import names
from userproxy.standalone.controllers.state import Write
from userproxy.standalone.kinds import ENDPOINT_SLICE
from userproxy.standalone.objects import Json
from userproxy.standalone.resources.metadata import dns_subdomain

PortsKey = tuple[Any, ...]


class Draft(msgspec.Struct):
    """A slice as it shall be. `existing` is the slice it replaces, None for a new one."""

    family: str
    ports: list[Json]
    endpoints: list[Json]
    existing: Json | None = None
    changed: bool = True

    @property
    def size(self) -> int:
        """Number of endpoints."""
        return len(self.endpoints)


def ports_key(ports: Iterable[Json] | None) -> PortsKey:
    """Return what makes two port lists the same, whatever their order."""
    return tuple(
        sorted(
            (
                port.get("name", ""),
                port.get("protocol", "TCP"),
                port.get("port") or 0,
                port.get("appProtocol", ""),
            )
            for port in ports or []
        )
    )


def endpoint_key(endpoint: Json) -> PortsKey:
    """Return the identity of an endpoint: the same endpoint is updated in the slice in which it stands."""
    target = endpoint.get("targetRef", {})
    return (
        tuple(sorted(endpoint["addresses"])),
        endpoint.get("hostname", ""),
        target.get("namespace", ""),
        target.get("name", ""),
    )


def same_endpoint(new: Json, old: Json) -> bool:
    """Return whether two states of an endpoint are equal; hints do not count, they are made afterwards."""
    return all(new.get(field) == old.get(field) for field in ("nodeName", "zone", "conditions", "targetRef"))


class Outcome(msgspec.Struct):
    """What the slices of one name come to, before it is known which writes that takes."""

    drafts: list[Draft]
    leaving: list[Json]

    def recycle(self, reusable: list[Json]) -> None:
        """Turn new slices into updates of slices that would go; `reusable` says which of them may live on."""
        new = [draft for draft in self.drafts if draft.existing is None]
        for item in list(self.leaving):
            if not new:
                return
            draft = new[-1]
            if item in reusable and item["addressType"] == draft.family:
                draft.existing = item
                new.pop()
                self.leaving.remove(item)

    def writes(
        self, namespace: str, prefix: str, metadata: Json, *, keep_annotations: bool = False
    ) -> list[Write]:
        """Return the writes; `metadata` holds labels, annotations and owners that every written slice gets.

        `keep_annotations` leaves annotations of others on slices that are there already.
        """
        created, replaced = [], []
        for draft in self.drafts:
            if not draft.changed:
                continue
            body = _body(draft, metadata, keep_annotations=keep_annotations)
            if draft.existing is None:
                body["metadata"] |= {"namespace": namespace, "generateName": _prefix(prefix)}
                created.append(Write("create", ENDPOINT_SLICE, body))
            else:
                replaced.append(Write("replace", ENDPOINT_SLICE, body))
        return [*created, *replaced, *(Write("delete", ENDPOINT_SLICE, item) for item in self.leaving)]


def _body(draft: Draft, metadata: Json, *, keep_annotations: bool) -> Json:
    own = dict(metadata)  # maps in it are sorted by key, as on the wire
    if draft.existing is not None:
        old = draft.existing["metadata"]
        others = {
            key: text for key, text in (old.get("annotations") or {}).items() if key != names.TRIGGER_TIME
        }
        if keep_annotations and others:
            own["annotations"] = dict(sorted((others | own.get("annotations", {})).items()))
        own |= {field: old[field] for field in ("name", "namespace", "uid", "resourceVersion")}
    return {
        "kind": ENDPOINT_SLICE.kind,
        "apiVersion": ENDPOINT_SLICE.api_version,
        "metadata": own,
        "addressType": draft.family,
        "endpoints": draft.endpoints or None,
        "ports": draft.ports or None,
    }


def _prefix(name: str) -> str:
    return name if dns_subdomain(f"{name}-x") else f"{name}-"
