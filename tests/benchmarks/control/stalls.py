"""How long a relayed request waits while the control side reads the whole list again.

Owns the two clients, 1,000 requests a second each: one through the proxy, one straight to the endpoint, which shows what the
machine itself adds. The client is `tests.benchmarks.open_loop`.
"""

from __future__ import annotations

import json
import subprocess
import sys
import time
from collections.abc import Callable

from tests.benchmarks.control.cluster_objects import SERVICE_PORT, TARGET_PORT, cluster_ip, first_addresses

RATE = 1000
BEFORE_SECONDS = 0.5


def measure(number: int, endpoints: int, seconds: float, disturb: Callable[[], object]) -> dict[str, float]:
    """Request for `seconds`, call `disturb` early on; return microseconds, `relay_` and `direct_`."""
    relay = _start(cluster_ip(number), SERVICE_PORT, seconds)
    direct = _start(first_addresses(number, endpoints)[0], TARGET_PORT, seconds)
    time.sleep(BEFORE_SECONDS)
    disturb()
    return {**_finish("relay", relay), **_finish("direct", direct)}


def _start(host: str, port: int, seconds: float) -> subprocess.Popen[str]:
    command = [sys.executable, "-m", "tests.benchmarks.open_loop", host, str(port), "--connections=1"]
    command += [f"--rate={RATE}", f"--seconds={seconds}", "--request=who\\n", "--end=\\n"]
    return subprocess.Popen(command, stdout=subprocess.PIPE, text=True)


def _finish(name: str, process: subprocess.Popen[str]) -> dict[str, float]:
    output, _ = process.communicate()
    if process.returncode != 0:
        raise RuntimeError(f"the client of {name} failed; see its messages above")
    return {f"{name}_{key}": value for key, value in json.loads(output).items()}
