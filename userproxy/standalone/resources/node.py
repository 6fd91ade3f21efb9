"""Nodes: shape and checks. Only names, labels, taints and addresses matter here; everything else is kept as given.

No defaults but those of the shape; there is no kubelet that would fill in the status.
"""

from __future__ import annotations

from userproxy.standalone.objects import Json
from userproxy.standalone.resources.metadata import check_metadata, top_level
from userproxy.standalone.schema import (
    ANY,
    INT32,
    STRING,
    always,
    listing,
    mapping,
    open_struct,
    strings,
    struct,
)
from userproxy.standalone.statuses import Cause, required

NODE_CONDITION = open_struct(
    "NodeCondition", type=always(STRING), status=always(STRING), reason=STRING, message=STRING
)

_INFO_FIELDS = (
    "machineID",
    "systemUUID",
    "bootID",
    "kernelVersion",
    "osImage",
    "containerRuntimeVersion",
    "kubeletVersion",
    "kubeProxyVersion",
    "operatingSystem",
    "architecture",
)

SHAPE = top_level(
    "Node",
    "A machine; its labels say in which zone it is.",
    spec=always(
        open_struct(
            "NodeSpec",
            podCIDR=STRING,
            podCIDRs=strings(is_set=True),
            providerID=STRING,
            taints=listing(open_struct("Taint", key=always(STRING), value=STRING, effect=always(STRING))),
        )
    ),
    status=always(
        open_struct(
            "NodeStatus",
            capacity=mapping(ANY),
            allocatable=mapping(ANY),
            phase=STRING,
            conditions=listing(NODE_CONDITION, merge_key="type", list_keys=("type",)),
            addresses=listing(
                struct("NodeAddress", type=always(STRING), address=always(STRING)),
                merge_key="type",
                list_keys=("type",),
            ),
            daemonEndpoints=always(
                struct(
                    "NodeDaemonEndpoints",
                    kubeletEndpoint=always(struct("DaemonEndpoint", Port=always(INT32))),
                )
            ),
            nodeInfo=always(open_struct("NodeSystemInfo", **{name: always(STRING) for name in _INFO_FIELDS})),
        )
    ),
)


def check(item: Json) -> list[Cause]:
    """Return every fault of a node."""
    causes = check_metadata(item["metadata"], label_name=False)
    for index, taint in enumerate(item["spec"].get("taints", [])):
        causes += [
            required(f"spec.taints[{index}].{field}") for field in ("key", "effect") if not taint[field]
        ]
    return causes
