"""What a decision about one Service is made from, and what it may lead to.

Owns the values that cross between the pure decisions and the loop. All objects in them are read, never changed.
"""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import Literal

import msgspec

from userproxy.standalone.kinds import Kind
from userproxy.standalone.objects import Json


class State(msgspec.Struct, frozen=True):
    """All that exists around one name in one namespace.

    `slices` are those that carry the name as label or in an owner reference. `pods` are those that the selector matches.
    `trigger_time` (RFC 3339) goes into the annotation of what is written, empty for none.
    """

    namespace: str
    name: str
    service: Json | None = None
    endpoints: Json | None = None
    slices: tuple[Json, ...] = ()
    pods: tuple[Json, ...] = ()
    nodes: Mapping[str, Json] = MappingProxyType({})
    trigger_time: str = ""
    ended: bool = False
    """The Service was there and has been deleted."""


class Settings(msgspec.Struct, frozen=True):
    """Bounds and choices. A real controller leaves out Pods whose Node does not exist (`require_nodes`).

    Source of the numbers: the defaults of kube-controller-manager's flags.
    """

    endpoints_per_slice: int = 100
    mirrored_per_subset: int = 1000
    require_nodes: bool = False


class Write(msgspec.Struct, frozen=True):
    """One write: `replace` and `delete` name an existing object by its metadata."""

    action: Literal["create", "replace", "delete"]
    kind: Kind
    item: Json


def owned_by(item: Json, owner: Json) -> bool:
    """Return whether an owner reference with the uid of `owner` is on the object."""
    uid = owner["metadata"]["uid"]
    return any(reference["uid"] == uid for reference in item["metadata"].get("ownerReferences", []))


def controller_reference(kind: Kind, owner: Json) -> Json:
    """Return the reference of an object to the one that it lives and dies with."""
    metadata = owner["metadata"]
    return {
        "apiVersion": kind.api_version,
        "kind": kind.kind,
        "name": metadata["name"],
        "uid": metadata["uid"],
        "controller": True,
        "blockOwnerDeletion": True,
    }
