"""A process under what a Pod's securityContext leaves it, in a network namespace that stands for the node's or the Pod's.

Owns the restrictions: capabilities, user, no way to gain privileges, a read-only root, and the service account's files where a
kubelet mounts them. Not there: seccomp's RuntimeDefault, which is the container runtime's own list of system calls.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

from tests.e2e.agent import ordinary_user

ACCOUNT = "/run/secrets/kubernetes.io/serviceaccount"
SCRIPT = f"""
set -e
account=$1; shift
mount -t tmpfs tmpfs /run
mkdir -p {ACCOUNT}
mount --bind "$account" {ACCOUNT}
mount -o remount,bind,ro /run
mount -o remount,bind,ro /
if touch /tmp/userproxy-can-write /run/userproxy-can-write 2>/dev/null; then echo 'the root is writable'; exit 1; fi
exec "$@"
"""


def restricted(context: dict[str, Any], account: Path) -> tuple[str, ...]:
    """Return the command in front of a program that runs it under `context`; `account` holds token and ca.crt."""
    assert context["readOnlyRootFilesystem"]
    assert not context["allowPrivilegeEscalation"]
    assert context["capabilities"]["drop"] == ["ALL"]
    mounts = ("unshare", "--mount", "--propagation=private", "sh", "-c", SCRIPT, "container", str(account))
    added = context["capabilities"].get("add", [])
    if context["runAsUser"] != 0:
        assert not added, "capabilities reach no other user than root"
        return (*mounts, *ordinary_user(), "--no-new-privs")
    kept = ",".join(["-all", *(f"+{name.lower()}" for name in added)])
    return (
        *mounts,
        "setpriv",
        "--no-new-privs",
        "--inh-caps=-all",
        "--ambient-caps=-all",
        f"--bounding-set={kept}",
    )
