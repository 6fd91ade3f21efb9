"""What the whole machine does and is: busy CPU, stolen CPU, memory of the kernel, and a description for reports.

Owns reading /proc/stat, /proc/slabinfo, /proc/net/sockstat and the versions of programs. Decides nothing.
"""

from __future__ import annotations

import datetime
import os
import platform
import re
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
TICKS = os.sysconf("SC_CLK_TCK")
PAGE = os.sysconf("SC_PAGE_SIZE")

CONNECTION_SLABS = re.compile(
    r"(tw_sock_|request_sock_)?TCP(v6)?|sock_inode_cache|skbuff_\w+|eventpoll_\w+|ep_head|tcp_bind\w*|"
    r"b?filp|dentry|lsm_\w+|kmalloc-(cg-)?\w+"
)
"""Slab caches that a connection takes objects from."""


@dataclass(frozen=True)
class CpuTime:
    """Seconds since boot, all cores together."""

    busy: float
    stolen: float


def cpu_time() -> CpuTime:
    """Return what the whole machine has worked, interrupts and kernel threads included, and what the hypervisor took away."""
    fields = [int(field) for field in Path("/proc/stat").read_text().splitlines()[0].split()[1:]]
    user, nice, system, _idle, _wait, interrupts, softirqs, stolen = fields[:8]
    return CpuTime((user + nice + system + interrupts + softirqs) / TICKS, stolen / TICKS)


def background_cores(seconds: float = 0.5) -> float:
    """Return how many cores are busy while the benchmark does nothing."""
    before = cpu_time()
    time.sleep(seconds)
    return (cpu_time().busy - before.busy) / seconds


def connection_slab_bytes() -> int:
    """Return the bytes of objects in use in the slab caches that connections use. Raises OSError unless root."""
    return slab_bytes(Path("/proc/slabinfo").read_text())


def slab_bytes(slabinfo: str) -> int:
    """Return the bytes in use by CONNECTION_SLABS in the text of /proc/slabinfo."""
    total = 0
    for line in slabinfo.splitlines():
        name, *rest = line.split()
        if CONNECTION_SLABS.fullmatch(name):
            total += int(rest[0]) * int(rest[2])
    return total


def socket_buffer_bytes() -> int:
    """Return what TCP sockets of the machine hold in buffers (sockstat's mem)."""
    found = re.search(r"^TCP: .* mem (\d+)", Path("/proc/net/sockstat").read_text(), re.MULTILINE)
    return int(found[1]) * PAGE if found else 0


def description() -> dict[str, object]:
    """Return date, commit, machine and versions, to be kept with results."""
    return {
        "date": datetime.datetime.now(datetime.UTC).strftime("%Y-%m-%d %H:%M UTC"),
        "commit": commit(),
        "cpu": _first(r"model name\s*: (.*)", Path("/proc/cpuinfo").read_text()),
        "cores": len(os.sched_getaffinity(0)),
        "memory_bytes": os.sysconf("SC_PHYS_PAGES") * PAGE,
        "kernel": platform.release(),
        "python": platform.python_version(),
        "haproxy": _version("haproxy", "-v", pattern=r"version (\S+)"),
        "nginx": _version("nginx", "-v", pattern=r"nginx/(\S+)"),
        "wrk": _version("wrk", "-v", pattern=r"wrk (\S+)"),
        "background_cores_busy": round(background_cores(), 2),
    }


def commit() -> str:
    """Return the commit of this checkout, with `+changes` when the tree differs from it."""
    git = ["git", "-C", str(ROOT), "-c", f"safe.directory={ROOT}"]
    head = _output([*git, "rev-parse", "--short=12", "HEAD"]).strip()
    changed = _output([*git, "status", "--porcelain", "--", "userproxy"]).strip()
    return f"{head}+changes" if head and changed else head or "unknown"


def summary_line(machine: dict[str, object]) -> str:
    """Return a description in one line, for tables and pictures."""
    return (
        f"{machine['date']}, commit {machine['commit']}, {machine['cpu']} x {machine['cores']}, "
        f"Linux {machine['kernel']}, Python {machine['python']}, HAProxy {machine['haproxy']}, nginx {machine['nginx']}"
    )


def _version(*command: str, pattern: str) -> str:
    return _first(pattern, _output(list(command)))


def _output(command: list[str]) -> str:
    try:
        done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=10)
    except OSError as error:
        print(f"{command[0]}: {error}", file=sys.stderr)
        return ""
    return done.stdout + done.stderr


def _first(pattern: str, text: str) -> str:
    found = re.search(pattern, text)
    return found[1].strip() if found else "unknown"
