"""The Node that stands for this host: what a kubelet would tell of it, as far as it is true without one.

Owns its content; `session` stores it. Allocatable is all of capacity, as nothing is reserved: kubectl divides by it.
"""

from __future__ import annotations

import os
import platform
import time

from userproxy.standalone.decoding import WriteOptions
from userproxy.standalone.kinds import NODE
from userproxy.standalone.objects import Json, timestamp
from userproxy.standalone.registry import Registry

REASON = "Standalone"
"""Of the Ready condition, by which a Node of an earlier run is known; whoever declares the Node has it as declared."""
_ARCHITECTURES = {"x86_64": "amd64", "aarch64": "arm64", "armv7l": "arm", "i686": "386"}
"""The machine as the kernel names it, and as Go does; others have one name."""
_KUBELET = WriteOptions(manager="kubelet")


def store_own_node(registry: Registry, name: str) -> None:
    """Create the Node, or bring the status of an earlier run up to date."""
    present = registry.store.get(NODE, name)
    if present is None:
        registry.create(NODE, "", own_node(name), _KUBELET)
    elif any(each.get("reason") == REASON for each in present["status"].get("conditions", [])):
        status = own_node(name)["status"]
        registry.change(
            NODE, "", name, lambda old: {**old, "status": old["status"] | status}, _KUBELET, status=True
        )


def own_node(name: str) -> Json:
    """Return a Node for this host."""
    host = os.uname()
    architecture = _ARCHITECTURES.get(host.machine, host.machine)
    memory = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE") // 1024
    resources = {"cpu": str(os.cpu_count() or 1), "memory": f"{memory}Ki"}
    now = timestamp(time.time())
    ready = {
        "type": "Ready",
        "status": "True",
        "reason": REASON,
        "message": "userproxy standalone answers for this host; there is no kubelet",
        "lastHeartbeatTime": now,
        "lastTransitionTime": now,
    }
    labels = {"hostname": name, "os": "linux", "arch": architecture}
    return {
        "metadata": {
            "name": name,
            "labels": {f"kubernetes.io/{label}": value for label, value in labels.items()},
        },
        "status": {
            "capacity": resources,
            "allocatable": resources,
            "conditions": [ready],
            "addresses": [
                {"type": "InternalIP", "address": "127.0.0.1"},
                {"type": "Hostname", "address": name},
            ],
            "nodeInfo": {
                "architecture": architecture,
                "kernelVersion": host.release,
                "operatingSystem": "linux",
                "osImage": _os_name(),
            },
        },
    }


def _os_name() -> str:
    try:
        return platform.freedesktop_os_release().get("PRETTY_NAME", "")
    except OSError:  # no os-release file
        return ""
