"""Processes that a benchmark starts, and what the kernel says about them.

Owns start, orderly end by process id, CPU time and memory of a process with its descendants. Knows nothing of proxies.
"""

from __future__ import annotations

import contextlib
import json
import os
import subprocess
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import IO, Any

END_SECONDS = 5.0


class Process:
    """A started program.

    `lines` makes pipes of its standard input and output, for commands and answers of one JSON line; `log` takes its messages.
    """

    def __init__(
        self,
        command: Sequence[str],
        *,
        lines: bool = False,
        log: Path | None = None,
        environment: Mapping[str, str] | None = None,
    ) -> None:
        self.name = Path(command[0]).name
        messages = log.open("w") if log else None
        self._popen = subprocess.Popen(
            command,
            text=True,
            stdin=subprocess.PIPE if lines else subprocess.DEVNULL,
            stdout=subprocess.PIPE if lines else None,
            stderr=messages,
            env={**os.environ, **(environment or {})},
        )
        if messages:
            messages.close()

    @property
    def pid(self) -> int:
        """Its process id."""
        return self._popen.pid

    @property
    def running(self) -> bool:
        """Whether it has not ended."""
        return self._popen.poll() is None

    def ask(self, message: dict[str, Any]) -> dict[str, Any]:
        """Send one command and return its answer. Raises RuntimeError when the process has ended."""
        try:
            _pipe(self._popen.stdin).write(json.dumps(message) + "\n")
            _pipe(self._popen.stdin).flush()
        except BrokenPipeError:
            pass
        return self.answer()

    def answer(self) -> dict[str, Any]:
        """Return the next line it says. Raises RuntimeError when it has ended."""
        line = _pipe(self._popen.stdout).readline()
        if not line:
            raise RuntimeError(f"{self.name} ended with status {self._popen.wait()}; see its messages above")
        answer: dict[str, Any] = json.loads(line)
        return answer

    def stop(self) -> None:
        """End it with SIGTERM, after END_SECONDS with SIGKILL."""
        if self.running:
            self._popen.terminate()
            try:
                self._popen.wait(END_SECONDS)
            except subprocess.TimeoutExpired:
                self._popen.kill()
                self._popen.wait()
        for pipe in (self._popen.stdin, self._popen.stdout):
            if pipe:
                pipe.close()


def family(pid: int) -> list[int]:
    """Return a process and its descendants."""
    return [pid, *_descendants(pid)]


def cpu_seconds(pids: Sequence[int]) -> float:
    """Return the time that the threads of these processes have been running; one that has ended counts nothing."""
    nanoseconds = 0
    for pid in pids:
        for path in Path(f"/proc/{pid}/task").glob("*/schedstat"):
            # Not /proc/PID/stat, which counts ticks of 10 ms.
            with contextlib.suppress(OSError):
                nanoseconds += int(path.read_text().split()[0])
    return nanoseconds / 1e9


def memory(pid: int) -> dict[str, int]:
    """Return Rss and Pss in bytes (smaps_rollup), and Peak (VmHWM); Pss shares common pages among their users."""
    rollup = _kibibytes(Path(f"/proc/{pid}/smaps_rollup").read_text())
    status = _kibibytes(Path(f"/proc/{pid}/status").read_text())
    return {"Rss": rollup["Rss"], "Pss": rollup["Pss"], "Peak": status.get("VmHWM", 0)}


def proportional_memory(pids: Sequence[int]) -> int:
    """Return the Pss of several processes together, in bytes."""
    return sum(memory(pid)["Pss"] for pid in pids)


def _kibibytes(text: str) -> dict[str, int]:
    """Return the `Name:  123 kB` lines, in bytes."""
    found = {}
    for line in text.splitlines():
        name, _, value = line.partition(":")
        if value.endswith(" kB"):
            found[name] = int(value.removesuffix(" kB")) * 1024
    return found


def _descendants(pid: int) -> Iterator[int]:
    for path in Path(f"/proc/{pid}/task").glob("*/children"):
        for child in path.read_text().split():
            yield int(child)
            yield from _descendants(int(child))


def _pipe(stream: IO[str] | None) -> IO[str]:
    if stream is None:
        raise RuntimeError("the process was started without pipes")
    return stream
