"""The real `userproxy run` as a process: started, waited for, and looked at from outside.

Owns its command line and readiness. Measures only what the kernel tells about it.
"""

from __future__ import annotations

import http.client
import sys
import time
from collections.abc import Sequence
from pathlib import Path

from tests.benchmarks.control.cluster_objects import NODE
from tests.benchmarks.processes import Process, cpu_seconds, family, memory

HEALTH = ("127.0.0.1", 10256)
READY_SECONDS = 120.0


class AgentProcess:
    """One userproxy. `ready_seconds` and `ready_cpu` are what passed from its start to its readiness."""

    def __init__(self, url: str, options: Sequence[str], log: Path) -> None:
        """Start it and wait until it is ready. Raises RuntimeError with its last messages."""
        command = [sys.executable, "-m", "userproxy", "run", "--master", url, "--hostname-override", NODE]
        command += ["--healthz-bind-address", f"{HEALTH[0]}:{HEALTH[1]}", *options]
        self._log = log
        started = time.monotonic()
        self._process = Process(command, log=log)
        try:
            while not _is_ready():
                if not self._process.running or time.monotonic() - started > READY_SECONDS:
                    raise RuntimeError(f"userproxy did not become ready:\n{self.last_messages()}")
                time.sleep(0.005)
        except BaseException:
            self.stop()
            raise
        self.ready_seconds = time.monotonic() - started
        self.ready_cpu = self.control_cpu()

    def control_memory(self) -> dict[str, int]:
        """Return Rss, Pss and Peak of the control process, in bytes."""
        return memory(self._process.pid)

    def worker_memory(self) -> list[dict[str, int]]:
        """Return the same of each worker."""
        return [memory(pid) for pid in family(self._process.pid)[1:]]

    def control_cpu(self) -> float:
        """Return the CPU seconds of the control process, without its workers."""
        return cpu_seconds([self._process.pid])

    def last_messages(self, count: int = 15) -> str:
        """Return the last lines of its log."""
        return "\n".join(self._log.read_text().splitlines()[-count:])

    def stop(self) -> None:
        """End it."""
        self._process.stop()


def _is_ready() -> bool:
    connection = http.client.HTTPConnection(*HEALTH, timeout=2.0)
    try:
        connection.request("GET", "/readyz")
        return connection.getresponse().status == 200
    except (OSError, http.client.HTTPException):
        return False
    finally:
        connection.close()
