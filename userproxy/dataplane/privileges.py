"""Giving up what a worker does not need: every capability, the way back to them, and life without its parent.

Owns the prctl(2) and capset(2) calls. A worker that a hostile client takes over can then neither change rules nor gain
privileges, and finds no credentials in its environment or memory.
"""

from __future__ import annotations

import ctypes
import os
import signal

PR_SET_PDEATHSIG = 1
PR_SET_DUMPABLE = 4
PR_CAPBSET_DROP = 24
PR_SET_NO_NEW_PRIVS = 38
PR_CAP_AMBIENT = 47
PR_CAP_AMBIENT_CLEAR_ALL = 4
CAP_NET_RAW = 13
_CAPABILITY_VERSION_3 = 0x20080522
_LAST_CAPABILITY = 63


class _Header(ctypes.Structure):
    _fields_ = (("version", ctypes.c_uint32), ("pid", ctypes.c_int))


class _Data(ctypes.Structure):
    _fields_ = (
        ("effective", ctypes.c_uint32),
        ("permitted", ctypes.c_uint32),
        ("inheritable", ctypes.c_uint32),
    )


def drop_privileges(parent: int, *, keep: int | None = None) -> None:
    """Drop all capabilities for good, but number `keep`, and die with the process `parent`.

    Raises OSError when the kernel refuses.
    """
    libc = ctypes.CDLL(None, use_errno=True)
    _check(libc.prctl(PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0))
    if os.getppid() != parent:
        raise ProcessLookupError("the control process ended before its worker started")
    for capability in range(_LAST_CAPABILITY + 1):
        # Fails where the kernel has fewer capabilities, or without CAP_SETPCAP: then there is nothing to drop either.
        libc.prctl(PR_CAPBSET_DROP, capability, 0, 0, 0)
    libc.prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_CLEAR_ALL, 0, 0, 0)
    _check(libc.prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0))
    left = (_Data * 2)()
    if keep is not None:
        left[keep // 32].effective = left[keep // 32].permitted = 1 << keep % 32
    _check(libc.capset(ctypes.byref(_Header(_CAPABILITY_VERSION_3, 0)), left))
    _check(libc.prctl(PR_SET_DUMPABLE, 0, 0, 0, 0))


def _check(result: int) -> None:
    if result != 0:
        number = ctypes.get_errno()
        raise OSError(number, os.strerror(number))
