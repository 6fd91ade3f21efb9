"""System calls of each proxy for one connection, counted with strace under the close workload.

Owns strace: attaching, its table, and the division by connections. Only counts: under strace everything is slow, and times of
such a run mean nothing.
"""

from __future__ import annotations

import re
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from pathlib import Path

from tests.benchmarks.isolation import require
from tests.benchmarks.machine import description, summary_line
from tests.benchmarks.rounds import Other, stage
from tests.benchmarks.targets import DIRECT, Target
from tests.benchmarks.workloads import CLOSE_CONNECTIONS
from tests.benchmarks.wrk import Wrk

ATTACH_SECONDS = 5.0
LEAST_SHOWN = 0.005
"""Calls for each connection; rarer ones are in the sum only."""


def run(seconds: float, workers: str, others: Sequence[Other]) -> None:
    """Count and print a table: a row for each system call, a column for each proxy."""
    if not shutil.which("strace"):
        sys.exit("syscalls is skipped: strace is not installed (apt-get install strace)")
    require("nginx", "haproxy", "wrk")
    with stage(workers, others) as (targets, folder):
        wrk = Wrk(folder)
        counted = {
            name: count(target, wrk, seconds, folder) for name, target in targets.items() if name != DIRECT
        }
    print(table(counted))
    print(f"\n{summary_line(description())}. System calls for each connection, {CLOSE_CONNECTIONS} at once.")


def count(target: Target, wrk: Wrk, seconds: float, folder: Path) -> dict[str, float]:
    """Return the calls for each connection by name. Raises RuntimeError when strace cannot attach."""
    wrk.run(target.address("web", 0), 1, CLOSE_CONNECTIONS, close=True)
    output = folder / f"strace-{target.name}"
    attach = [argument for pid in target.pids for argument in ("-p", str(pid))]
    tracer = subprocess.Popen(
        ["strace", "-c", "-f", "-o", str(output), *attach], stderr=subprocess.PIPE, text=True
    )
    try:
        _wait_until_traced(target.pids, tracer)
        result = wrk.run(target.address("web", 1), seconds, CLOSE_CONNECTIONS, close=True)
    finally:
        tracer.send_signal(signal.SIGINT)
        tracer.communicate()
    return {name: calls / result.requests for name, calls in parse(output.read_text()).items()}


def parse(text: str) -> dict[str, int]:
    """Return the number of calls by name from the table that `strace -c` writes."""
    calls = {}
    for line in text.splitlines():
        found = re.fullmatch(r"\s*[\d.]+\s+[\d.]+\s+\d+\s+(\d+)(?:\s+\d+)?\s+(\w+)", line)
        if found and found[2] != "total":
            calls[found[2]] = int(found[1])
    return calls


def table(counted: Mapping[str, Mapping[str, float]]) -> str:
    """Return the counts in Markdown, the most frequent calls first, with their sum."""
    names = {name for calls in counted.values() for name in calls}
    most = {name: max(calls.get(name, 0.0) for calls in counted.values()) for name in names}
    lines = [f"| system call | {' | '.join(counted)} |", f"|---|{'---:|' * len(counted)}"]
    lines += [
        f"| {name} | {' | '.join(_cell(calls.get(name)) for calls in counted.values())} |"
        for name in sorted(names, key=lambda one: (-most[one], one))
        if most[name] >= LEAST_SHOWN
    ]
    sums = " | ".join(f"**{sum(calls.values()):.2f}**" for calls in counted.values())
    return "\n".join([*lines, f"| **all** | {sums} |"])


def _cell(value: float | None) -> str:
    return f"{value:.2f}" if value and value >= LEAST_SHOWN else "-"


def _wait_until_traced(pids: list[int], tracer: subprocess.Popen[str]) -> None:
    deadline = time.monotonic() + ATTACH_SECONDS
    while time.monotonic() < deadline and tracer.poll() is None:
        if all("TracerPid:\t0\n" not in Path(f"/proc/{pid}/status").read_text() for pid in pids):
            return
        time.sleep(0.02)
    raise RuntimeError(f"strace could not attach to {pids}; is ptrace allowed here?")
