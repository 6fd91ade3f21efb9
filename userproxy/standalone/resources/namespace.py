"""Namespaces: shape, defaults and checks.

A namespace is only a name here, and what is deleted together. Source: `pkg/registry/core/namespace/strategy.go`.
"""

from __future__ import annotations

from userproxy.standalone.objects import Json
from userproxy.standalone.resources.metadata import check_metadata, top_level
from userproxy.standalone.schema import STRING, TIME, always, listing, strings, struct
from userproxy.standalone.statuses import Cause

_CONDITION = struct(
    "NamespaceCondition",
    type=always(STRING),
    status=always(STRING),
    lastTransitionTime=always(TIME),
    reason=STRING,
    message=STRING,
)

SHAPE = top_level(
    "Namespace",
    "A scope for names; what is in it is deleted with it.",
    spec=always(struct("NamespaceSpec", finalizers=strings())),
    status=always(
        struct(
            "NamespaceStatus",
            phase=STRING,
            conditions=listing(_CONDITION, merge_key="type", list_keys=("type",)),
        )
    ),
)

INITIAL = ("default", "kube-node-lease", "kube-public", "kube-system")
"""Namespaces that every cluster has."""

NAME_LABEL = "kubernetes.io/metadata.name"


def fill_defaults(item: Json) -> None:
    """Fill in what the user left out; changes `item`."""
    metadata = item["metadata"]
    labels = {**metadata.get("labels", {}), NAME_LABEL: metadata.get("name", "")}
    metadata["labels"] = dict(sorted(labels.items()))
    item["spec"]["finalizers"] = ["kubernetes"]
    item["status"].setdefault("phase", "Active")


def check(item: Json) -> list[Cause]:
    """Return every fault of a namespace."""
    return check_metadata(item["metadata"], label_name=True)
