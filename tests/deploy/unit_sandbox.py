"""Program: runs a command under the system call rules of a systemd unit, as systemd would: UNIT COMMAND...

Owns the reading of units and the seccomp rules of SystemCallFilter, RestrictAddressFamilies, RestrictNamespaces and
LockPersonality, and MemoryDenyWriteExecute by prctl(2). Groups of system calls are expanded by systemd-analyze, the filter is
made by libseccomp, which systemd itself uses. Users, capabilities and mounts are `container`'s.
"""

from __future__ import annotations

import configparser
import ctypes
import errno
import functools
import os
import socket
import subprocess
import sys
from pathlib import Path

ALLOW = 0x7FFF0000
CMP_EQ = 4
CMP_MASKED_EQ = 7
PR_SET_MDWE = 65
NEW_NAMESPACES = 0x7E020080
"""CLONE_NEW... flags of namespaces(7)."""


class _Compare(ctypes.Structure):
    _fields_ = (
        ("argument", ctypes.c_uint),
        ("operator", ctypes.c_int),
        ("first", ctypes.c_uint64),
        ("second", ctypes.c_uint64),
    )


def read_unit(path: Path) -> configparser.SectionProxy:
    """Return the [Service] section of a unit."""
    parser = configparser.RawConfigParser(strict=True)
    parser.optionxform = str  # type: ignore[assignment, method-assign]
    parser.read_string(path.read_text())
    return parser["Service"]


@functools.cache
def groups() -> dict[str, list[str]]:
    """Return what systemd's groups such as @system-service hold, other groups among it."""
    command = ["systemd-analyze", "syscall-filter", "--no-pager"]
    text = subprocess.run(command, check=True, capture_output=True, text=True).stdout
    found: dict[str, list[str]] = {}
    for line in text.splitlines():
        if line.startswith("@"):
            found[line.strip()] = names = []
        elif line.startswith("    ") and not line.strip().startswith("#"):
            names.append(line.strip())
    return found


def system_calls(group: str) -> frozenset[str]:
    """Return the names in a group, with those of the groups in it."""
    listed = frozenset(groups()[group])
    inner = {name for name in listed if name.startswith("@")}
    return (listed - inner).union(*(system_calls(one) for one in inner))


def allowed_calls(setting: str) -> frozenset[str]:
    """Return what SystemCallFilter=SETTING allows, a list of groups and names."""
    allowed: frozenset[str] = frozenset()
    for word in setting.split():
        allowed |= system_calls(word) if word.startswith("@") else {word}
    return allowed | system_calls("@default")


def restrict(unit: configparser.SectionProxy) -> None:
    """Lay the rules of `unit` on this process for good. Needs no privilege where none can be gained any more."""
    library = ctypes.CDLL("libseccomp.so.2", use_errno=True)
    library.seccomp_init.restype = ctypes.c_void_p
    context = ctypes.c_void_p(library.seccomp_init(_fails_with(errno.EPERM)))

    def rule(action: int, name: str, *compare: _Compare) -> None:
        number = library.seccomp_syscall_resolve_name(name.encode())
        if number >= 0:  # a call of other architectures has none here
            array = (_Compare * len(compare))(*compare)
            if library.seccomp_rule_add_array(context, action, number, len(compare), array) != 0:
                raise OSError(f"no rule for {name}")

    for name in allowed_calls(unit["SystemCallFilter"]) - {"socket", "clone", "clone3", "unshare", "setns"}:
        rule(ALLOW, name)
    for family in unit["RestrictAddressFamilies"].split():
        rule(ALLOW, "socket", _Compare(0, CMP_EQ, int(getattr(socket, family))))
    assert unit.getboolean("RestrictNamespaces")
    rule(ALLOW, "clone", _Compare(0, CMP_MASKED_EQ, NEW_NAMESPACES, 0))
    rule(_fails_with(errno.ENOSYS), "clone3")  # systemd does the same: its flags are out of a filter's reach
    if library.seccomp_load(context) != 0:
        raise OSError("the filter was refused")
    if unit.getboolean("MemoryDenyWriteExecute"):
        libc = ctypes.CDLL(None, use_errno=True)
        if libc.prctl(PR_SET_MDWE, 1, 0, 0, 0) != 0 and ctypes.get_errno() != errno.EINVAL:  # since Linux 6.3
            raise OSError(ctypes.get_errno(), "PR_SET_MDWE")


def _fails_with(number: int) -> int:
    return 0x00050000 | number


if __name__ == "__main__":
    restrict(read_unit(Path(sys.argv[1])))
    os.execvp(sys.argv[2], sys.argv[2:])
