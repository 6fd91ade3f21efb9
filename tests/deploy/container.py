"""A process under what a Pod's securityContext leaves it, in a network namespace that stands for the node's or the Pod's.

Owns the restrictions: capabilities, user, no way to gain privileges, a read-only root, and the service account's files where a
kubelet mounts them. Not there: seccomp's RuntimeDefault, which is the container runtime's own list of system calls.
"""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

from tests.e2e.child import ROOT

MOUNTED = "/run/secrets/kubernetes.io/serviceaccount"
"""Where the folder given is seen inside."""

MOUNTS = f"""
set -e
account=$1; python=$2; shift 2
mount -t tmpfs tmpfs /run
mkdir -p {MOUNTED} /run/python
mount --bind "$account" {MOUNTED}
case $python in /root/*)  # an interpreter in root's home directory, which no other user may enter
    mount --bind "$python" /run/python
    mount -t tmpfs -o mode=755 tmpfs /root
    mkdir -p "$python"
    mount --bind /run/python "$python"
    mount -o remount,bind,ro /root ;;
esac
mount -o remount,bind,ro /run
mount -o remount,bind,ro /
if touch /tmp/userproxy-can-write /run/userproxy-can-write 2>/dev/null; then echo 'the root is writable'; exit 1; fi
exec "$@"
"""


def read_only_root(account: Path) -> tuple[str, ...]:
    """Return the command in front of a program that gives it a read-only root, with `account` at MOUNTED."""
    script = ("sh", "-c", MOUNTS, "container", str(account), sys.base_prefix)
    return ("unshare", "--mount", "--propagation=private", *script)


def rights(user: int, capabilities: list[str], *, ambient: bool = False) -> tuple[str, ...]:
    """Return the command in front of a program that leaves it `capabilities` (NET_ADMIN) and nothing to gain others with.

    `ambient`: as systemd gives them, to any user; else as container runtimes do, which only root has any use of.
    """
    kept = ",".join(["-all", *(f"+{name.lower()}" for name in capabilities)])
    command = ["setpriv", "--no-new-privs", f"--bounding-set={kept}"]
    if user != 0:
        command += [f"--reuid={user}", f"--regid={user}", "--clear-groups"]
    wide = kept if ambient else "-all"
    return (*command, f"--inh-caps={wide}", f"--ambient-caps={wide}")


def restricted(context: dict[str, Any], account: Path) -> tuple[str, ...]:
    """Return the command in front of a program that runs it under the securityContext `context`."""
    assert context["readOnlyRootFilesystem"]
    assert not context["allowPrivilegeEscalation"]
    assert context["capabilities"]["drop"] == ["ALL"]
    user = context["runAsUser"] if anyone_may_read(ROOT) else 0
    return (*read_only_root(account), *rights(user, context["capabilities"].get("add", [])))


def anyone_may_read(path: Path) -> bool:
    """Whether every user may enter `path`; else root's number stands for others, which without capabilities is as good."""
    return all(folder.stat().st_mode & 0o001 for folder in (path, *path.parents))
