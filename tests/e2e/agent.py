"""The program under test: `userproxy run` as a process of its own in a namespace.

Owns starting and ending it, and reading what it says: its log, its exit code and its admin servers. Traffic through it is the
tests' business.
"""

from __future__ import annotations

import contextlib
import http.client
import json
import resource
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from prometheus_client.parser import text_string_to_metric_families

from tests.e2e.child import ROOT
from tests.e2e.cluster import NODE_NAME
from tests.netns import Namespace

HEALTH_PORT = 10256
METRICS_PORT = 10249
USERPROXY = (sys.executable, "-m", "userproxy")
DRAIN = ("--drain-timeout", "0.5")

_NOBODY = ("setpriv", "--reuid=65534", "--regid=65534", "--clear-groups")
_NO_CAPABILITY = ("--bounding-set=-all", "--inh-caps=-all", "--ambient-caps=-all")


class Agent:
    """A `userproxy run`. `arguments` follow the command, `before` is what starts it (see `ordinary_user`)."""

    def __init__(self, home: Namespace, url: str, *arguments: str, before: tuple[str, ...] = ()) -> None:
        self._home = home
        self._log = tempfile.TemporaryFile("w+")  # noqa: SIM115 - lives as long as the process
        command = (*before, *USERPROXY, "run", "--master", url, "--hostname-override", NODE_NAME, *arguments)
        self.process = home.start(*command, cwd=ROOT, stdout=self._log, stderr=subprocess.STDOUT)

    @property
    def pid(self) -> int:
        """Its process number; all that stands before it replaces itself by exec."""
        return self.process.pid

    @property
    def log(self) -> str:
        """All it wrote so far."""
        self._log.seek(0)
        return self._log.read()

    def wait_ready(self, seconds: float = 15.0) -> None:
        """Return when /readyz answers 200."""
        ends = time.monotonic() + seconds
        while time.monotonic() < ends:
            assert self.process.poll() is None, f"ended with {self.process.returncode}: {self.log}"
            try:
                if self.get("/readyz")[0] == 200:
                    return
            except ConnectionRefusedError:
                pass
            time.sleep(0.02)
        raise AssertionError(f"not ready after {seconds} s: {self.log}")

    def get(self, path: str, port: int = HEALTH_PORT) -> tuple[int, str]:
        """Ask an admin server; return the status code and the text. Raises OSError."""
        with self._home.entered():
            connection = http.client.HTTPConnection("127.0.0.1", port, timeout=10)
            connection.connect()
        try:
            connection.request("GET", path)
            answer = connection.getresponse()
            return answer.status, answer.read().decode()
        finally:
            connection.close()

    def status(self) -> dict[str, Any]:
        """Return /status."""
        answer: dict[str, Any] = json.loads(self.get("/status", METRICS_PORT)[1])
        return answer

    def port_status(self, service: str) -> dict[str, Any]:
        """Return what /status says of the only port of a Service of namespace default."""
        (found,) = [one for one in self.status()["services"] if one["name"] == service]
        (port,) = found["ports"]
        answer: dict[str, Any] = port
        return answer

    def frontend(self, service: str) -> tuple[str, int]:
        """Return where clients reach the only port of a Service, as /status says."""
        (frontend,) = self.port_status(service)["frontends"]
        return frontend["address"], frontend["port"]

    def metric(self, name: str, /, **labels: str) -> float:
        """Return the sum of a metric's samples that have these labels; 0 when there is none (yet)."""
        text = self.get("/metrics", METRICS_PORT)[1]
        return sum(
            sample.value
            for family in text_string_to_metric_families(text)
            for sample in family.samples
            if sample.name == name and labels.items() <= sample.labels.items()
        )

    def resident_bytes(self) -> int:
        """Return how much memory it and its workers have in use."""
        processes = [self.pid, *_children(self.pid)]
        pages = sum(int(Path("/proc", str(one), "statm").read_text().split()[1]) for one in processes)
        return pages * resource.getpagesize()

    def end(self, number: signal.Signals = signal.SIGTERM, seconds: float = 15.0) -> int:
        """Send a signal and return the exit code (negative: killed by that signal)."""
        self.process.send_signal(number)
        return self.process.wait(seconds)

    def close(self) -> None:
        """Kill it if it still runs; show its log to whoever looks at a failed test."""
        if self.process.poll() is None:
            self.process.kill()
            self.process.wait(10)
        print(self.log)
        self._log.close()


@contextmanager
def started(home: Namespace, url: str, *arguments: str, before: tuple[str, ...] = ()) -> Iterator[Agent]:
    """A ready agent. A test may end it; else it is terminated, and has to end well. It never shows a bug in its log."""
    agent = Agent(home, url, *DRAIN, *arguments, before=before)
    try:
        agent.wait_ready()
        yield agent
        if agent.process.poll() is None:
            assert agent.end() == 0, agent.log
        assert "Traceback" not in agent.log
    finally:
        agent.close()


def _children(parent: int) -> list[int]:
    """Return the processes whose parent is `parent` (proc(5), /proc/PID/stat: the name in brackets, state, parent)."""
    found = []
    for stat in Path("/proc").glob("[0-9]*/stat"):
        with contextlib.suppress(OSError):  # it ended meanwhile
            if int(stat.read_text().rpartition(")")[2].split()[1]) == parent:
                found.append(int(stat.parent.name))
    return found


def ordinary_user() -> tuple[str, ...]:
    """Return the command in front of a program that makes it run as nobody, without any capability.

    Where nobody may not read this checkout or the interpreter, it is root's number without any capability: to the network and
    its rules that is as good as nobody.
    """
    # A child is what counts: setpriv itself still has root's rights when it starts the interpreter.
    imports = f"import subprocess; subprocess.run([{sys.executable!r}, '-c', 'import click, userproxy.config'], check=True)"
    trial = (*_NOBODY, *_NO_CAPABILITY, sys.executable, "-c", imports)
    can_run = subprocess.run(trial, cwd=ROOT, capture_output=True, check=False).returncode == 0
    return (*_NOBODY, *_NO_CAPABILITY) if can_run else ("setpriv", *_NO_CAPABILITY)
