"""The tests in one command: python3 tests/run.py [OPTIONS of pytest].

Makes the virtual environment and installs the Debian packages that the tests use, as far as it may. Runs as many processes as
there are cores; `-n 0` runs all in one.
"""

import os
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT / "deploy"))

PACKAGES = {
    "nft": "nftables",
    "iptables": "iptables",
    "ip": "iproute2",
    "setpriv": "util-linux",
    "curl": "curl",
    "systemd-analyze": "systemd",
    "man": "man-db",
    "haproxy": "haproxy",
    "chromium": "chromium",
}

if __name__ == "__main__":
    from environment import ensure_environment, ensure_extracted, ensure_packages

    ensure_packages(PACKAGES, "tests")
    python = ensure_environment("test")
    ensure_extracted("promtool", "prometheus", "tests")
    os.chdir(ROOT)
    os.environ["PATH"] += ":/usr/sbin:/sbin"
    processes = ["-n", str(len(os.sched_getaffinity(0))), "--dist", "loadfile", "--no-loadscope-reorder"]
    os.execv(python, [str(python), "-m", "pytest", *processes, *sys.argv[1:]])
