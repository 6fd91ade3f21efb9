"""A place where a benchmark disturbs nothing: network, process and mount namespaces of its own.

Owns entering them and the kernel settings inside. With the first process every other one ends, so nothing is left running
whatever happens to the benchmark.
"""

from __future__ import annotations

import os
import resource
import shutil
import signal
import subprocess
import sys
from pathlib import Path

ENTERED = "USERPROXY_BENCHMARK_ENTERED"

SETTINGS = {
    "net/ipv4/ip_local_port_range": "1024 65535",
    "net/ipv4/tcp_tw_reuse": "1",
    "net/core/somaxconn": "8192",
    "net/ipv4/tcp_max_syn_backlog": "8192",
    "net/netfilter/nf_conntrack_tcp_timeout_time_wait": "1",
}
"""Listeners use ports below 1024, so that the whole range is left to clients; ports in TIME_WAIT are used again after 1 s."""

DESCRIPTORS = 65536


def enter(arguments: list[str]) -> None:
    """Start this program again inside namespaces of its own; returns there, with lo up and ports to spare.

    Exits with a line that says what is missing when that cannot be done.
    """
    if os.environ.get(ENTERED) != "1":
        if os.geteuid() != 0:
            sys.exit("benchmarks need root, to make a network namespace of their own")
        require("unshare", "ip")
        os.environ[ENTERED] = "1"
        inside = [sys.executable, "-m", "tests.benchmarks", *arguments]
        namespaces = ["--net", "--mount", "--pid", "--fork", "--kill-child", "--mount-proc"]
        os.execvp("unshare", ["unshare", *namespaces, *inside])
    # The first process of a PID namespace has no default action for signals.
    signal.signal(signal.SIGTERM, lambda number, frame: sys.exit(128 + number))
    subprocess.run(["ip", "link", "set", "lo", "up"], check=True)
    for setting, value in SETTINGS.items():
        path = Path("/proc/sys", setting)
        if path.exists():
            path.write_text(value)
    _raise_descriptor_limit()


def require(*programs: str) -> None:
    """Exit with the Debian packages to install when a program is missing."""
    packages = {"unshare": "util-linux", "ip": "iproute2", "nginx": "nginx libnginx-mod-stream"}
    missing = [program for program in programs if not shutil.which(program)]
    if missing:
        wanted = " ".join(packages.get(program, program) for program in missing)
        sys.exit(f"benchmarks need {', '.join(missing)}: apt-get install --no-install-recommends {wanted}")


def _raise_descriptor_limit() -> None:
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = max(hard, DESCRIPTORS) if hard != resource.RLIM_INFINITY else DESCRIPTORS
    try:
        resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, wanted))
    except (OSError, ValueError):
        resource.setrlimit(resource.RLIMIT_NOFILE, (max(soft, hard), hard))
