"""The load generator wrk: its command line, its pace and its results in exact numbers.

Owns the Lua scripts and the parsing of what they print. What is measured, and when, is `workloads`' business.
"""

from __future__ import annotations

import json
import subprocess
from dataclasses import dataclass
from pathlib import Path

MARK = "userproxy-result "

REPORT = """
done = function(summary, latency, requests)
   local e = summary.errors
   io.write(string.format(
      '\\n%s{"requests":%%d,"bytes":%%d,"microseconds":%%d,"p50_us":%%d,"p99_us":%%d,"p999_us":%%d,"errors":%%d}\\n',
      summary.requests, summary.bytes, summary.duration,
      latency:percentile(50), latency:percentile(99), latency:percentile(99.9),
      e.connect + e.read + e.write + e.status + e.timeout))
end
""".replace("%s", MARK, 1).replace("%%", "%")
"""Without request() or response() in the script wrk calls no Lua for each request, so the script costs nothing."""

PAUSE_MS = 10
PACE = f"""
delay = function() return math.random({PAUSE_MS // 2}, {PAUSE_MS + PAUSE_MS // 2}) end
"""
"""Each connection waits between two requests, on average PAUSE_MS; random, so that they do not march in step."""


@dataclass(frozen=True)
class WrkResult:
    """What one run did. `errors`: connections, reads, writes, answers other than 2xx or 3xx, and timeouts."""

    requests: int
    bytes: int
    seconds: float
    p50_us: float
    p99_us: float
    p999_us: float
    errors: int

    @property
    def rate(self) -> float:
        """Requests a second."""
        return self.requests / self.seconds


class Wrk:
    """Writes its scripts into `folder` and runs wrk with one thread."""

    def __init__(self, folder: Path) -> None:
        self._report = folder / "report.lua"
        self._report.write_text(REPORT)
        self._paced = folder / "paced.lua"
        self._paced.write_text(REPORT + PACE)

    def start(
        self,
        address: tuple[str, int],
        seconds: float,
        connections: int,
        *,
        path: str = "/",
        close: bool = False,
        paced: bool = False,
    ) -> subprocess.Popen[str]:
        """Start a run; give its Popen to `finish`."""
        host, port = address
        command = ["wrk", "-t1", f"-c{connections}", f"-d{max(1, round(seconds))}s", "--timeout", "5s"]
        command += ["-s", str(self._paced if paced else self._report)]
        command += ["-H", "Connection: close"] if close else []
        return subprocess.Popen(
            [*command, f"http://{host}:{port}{path}"],
            text=True,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
        )

    def run(self, address: tuple[str, int], seconds: float, connections: int, **options: object) -> WrkResult:
        """Run to the end; `options` as in `start`."""
        return finish(self.start(address, seconds, connections, **options))  # type: ignore[arg-type]


def finish(process: subprocess.Popen[str]) -> WrkResult:
    """Wait for a run and return its result. Raises RuntimeError when wrk could not run or nothing answered."""
    output, _ = process.communicate()
    return parse(output)


def parse(output: str) -> WrkResult:
    """Return the result within wrk's output. Raises RuntimeError when there is none, or not one request succeeded."""
    for line in output.splitlines():
        if line.startswith(MARK):
            found = json.loads(line.removeprefix(MARK))
            if not found["requests"]:
                break
            seconds = found.pop("microseconds") / 1e6
            return WrkResult(seconds=seconds, **found)
    raise RuntimeError(f"wrk got no answer: {output.strip()[-300:]}")
