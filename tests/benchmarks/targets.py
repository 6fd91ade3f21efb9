"""What is measured: no proxy, HAProxy, nginx stream, userproxy, and the endpoints behind all of them.

Owns starting and stopping them and changing their endpoints. Each target answers at several addresses; a run uses one of
them, in turn. The texts of their configurations are in `target_configs`.
"""

from __future__ import annotations

import contextlib
import socket
import subprocess
import sys
import time
from collections.abc import Collection, Sequence
from pathlib import Path

from tests.benchmarks import pattern
from tests.benchmarks.machine import ROOT
from tests.benchmarks.processes import Process, family
from tests.benchmarks.target_configs import (
    OBJECT_PATH,
    SINK_ENDPOINTS,
    SINK_PORT,
    WEB_ENDPOINTS,
    WEB_PORT,
    Address,
    haproxy,
    listening,
    nginx_backend,
    nginx_stream,
)

START_SECONDS = 10.0
DIRECT, HAPROXY, NGINX, USERPROXY = "direct", "haproxy", "nginx-stream", "userproxy"
FLOOR, PYTHON_FLOOR = "floor", "floor-python"
FLOOR_SOURCE = Path(__file__).with_name("floor.c")
PYTHON_FLOOR_SOURCE = Path(__file__).with_name("floor.py")
PLANE_PROCESS = Path(__file__).with_name("plane_process.py")


class Target:
    """Something that carries connections to the endpoints; this one is the endpoints themselves."""

    can_churn = False

    def __init__(self, name: str, web: Sequence[Address], sink: Sequence[Address]) -> None:
        self.name = name
        self._addresses = {"web": tuple(web), "sink": tuple(sink)}
        self._process: Process | None = None

    def address(self, group: str, turn: int) -> Address:
        """Return where to connect for `web` or `sink` in this turn."""
        addresses = self._addresses[group]
        return addresses[turn % len(addresses)]

    @property
    def pids(self) -> list[int]:
        """The processes of the target; none for direct connections."""
        return family(self._process.pid) if self._process else []

    def start(self) -> None:
        """Start it and wait until every address accepts. Raises RuntimeError."""
        self._process = self._launch()
        for addresses in self._addresses.values():
            for address in addresses:
                _wait_for(address, self.name)

    def stop(self) -> None:
        """End it."""
        if self._process is not None:
            self._process.stop()
            self._process = None

    def use_endpoints(self, indexes: Collection[int]) -> None:
        """Carry new web connections to these of the WEB_ENDPOINTS from now on."""
        raise NotImplementedError(f"{self.name} cannot change endpoints while it runs")

    def _launch(self) -> Process | None:
        return None


class HaproxyTarget(Target):
    """HAProxy in TCP mode; its endpoints are changed over its control socket."""

    can_churn = True

    def __init__(self, folder: Path, number: int) -> None:
        super().__init__(HAPROXY, listening(number, WEB_PORT), listening(number, SINK_PORT))
        self._socket = folder / "haproxy.sock"
        self._log = folder / "haproxy.log"
        self._config = folder / "haproxy.cfg"
        self._config.write_text(haproxy(number, self._socket))

    def use_endpoints(self, indexes: Collection[int]) -> None:
        """Put these servers into service and the others out of it, in one command."""
        # Into service first, so that there is never a moment without a server.
        words = [f"set server web/s{i} state ready" for i in indexes]
        words += [f"set server web/s{i} state maint" for i in range(len(WEB_ENDPOINTS)) if i not in indexes]
        with socket.socket(socket.AF_UNIX) as connection:
            connection.connect(str(self._socket))
            connection.sendall(";".join(words).encode() + b"\n")
            answer = connection.makefile().read().strip()
        if answer:
            raise RuntimeError(f"haproxy refused to change servers: {answer}")

    def start(self) -> None:
        """Start it; what it says is shown when that fails only, since it greets on standard error."""
        try:
            super().start()
        except RuntimeError:
            sys.stderr.write(self._log.read_text())
            raise

    def stop(self) -> None:
        """End it and remove its control socket."""
        super().stop()
        self._socket.unlink(missing_ok=True)

    def _launch(self) -> Process:
        return Process(["haproxy", "-f", str(self._config), "-db"], log=self._log)


class NginxStreamTarget(Target):
    """nginx as a TCP proxy. It can change endpoints by a reload only, which is no match for 20 changes a second."""

    def __init__(self, folder: Path, number: int) -> None:
        super().__init__(NGINX, listening(number, WEB_PORT), listening(number, SINK_PORT))
        self._config = folder / "stream.conf"
        self._config.write_text(nginx_stream(folder, number))

    def _launch(self) -> Process:
        return Process(["nginx", "-c", str(self._config)])


class FloorTarget(Target):
    """A relay with the system calls of userproxy's data plane and nothing else, in C (floor.c) or Python (floor.py)."""

    def __init__(self, name: str, folder: Path, number: int) -> None:
        super().__init__(name, listening(number, WEB_PORT), listening(number, SINK_PORT))
        self._program = folder / "floor"

    def _launch(self) -> Process:
        groups = (("web", WEB_ENDPOINTS), ("sink", SINK_ENDPOINTS))
        arguments = [f"{_listed(self._addresses[name])}={_listed(endpoints)}" for name, endpoints in groups]
        return Process([*self._command(), *arguments])

    def _command(self) -> list[str]:
        if self.name == PYTHON_FLOOR:
            return [sys.executable, "-P", str(PYTHON_FLOOR_SOURCE)]
        if not self._program.exists():
            subprocess.run(["gcc", "-O2", "-o", self._program, FLOOR_SOURCE], check=True)
        return [str(self._program)]


class PlaneTarget(Target):
    """userproxy's data plane, of this checkout or of another one at `root`, run by `python`."""

    can_churn = True

    def __init__(
        self, name: str, number: int, root: Path, workers: str, python: str = sys.executable
    ) -> None:
        super().__init__(name, listening(number, WEB_PORT), listening(number, SINK_PORT))
        self._root = root
        self._workers = workers
        self._python = python

    def use_endpoints(self, indexes: Collection[int]) -> None:
        """Serve these endpoints."""
        self._ask({"serve": {"web": [WEB_ENDPOINTS[i] for i in indexes]}})

    def _launch(self) -> Process:
        # -P: the folder of the script, with its module names, must not come first in the search path.
        command = [self._python, "-P", str(PLANE_PROCESS), "--workers", self._workers]
        # An unpacked wheel has no tests of its own.
        paths = {"PYTHONPATH": f"{self._root}:{ROOT}"}
        self._process = Process(command, lines=True, environment=paths)
        serve = {"web": WEB_ENDPOINTS, "sink": SINK_ENDPOINTS}
        self._ask({"listen": self._addresses, "serve": serve})
        return self._process

    def _ask(self, command: dict[str, object]) -> None:
        if self._process is None:
            raise RuntimeError(f"{self.name} does not run")
        failures = self._process.ask(command)["failures"]
        if failures:
            raise RuntimeError(f"{self.name}: {failures[0]}")


class Endpoints:
    """The web endpoints (nginx, one worker) and the byte-checked sinks that everything is carried to."""

    def __init__(self, folder: Path) -> None:
        self._config = folder / "backend.conf"
        self._config.write_text(nginx_backend(folder))
        (folder / "www").mkdir()
        (folder / "www" / OBJECT_PATH.strip("/")).write_bytes(pattern.whole_object())
        self._processes: list[Process] = []

    def start(self) -> None:
        """Start both and wait until they accept. Raises RuntimeError."""
        sinks = [f"{host}:{port}" for host, port in SINK_ENDPOINTS]
        self._processes = [
            Process(["nginx", "-c", str(self._config)]),
            Process([sys.executable, "-m", "tests.benchmarks.sink_process", *sinks]),
        ]
        for address in (*WEB_ENDPOINTS, *SINK_ENDPOINTS):
            _wait_for(address, "an endpoint")

    def stop(self) -> None:
        """End both."""
        for process in self._processes:
            process.stop()
        self._processes.clear()


def _listed(addresses: Sequence[Address]) -> str:
    return ",".join(f"{host}:{port}" for host, port in addresses)


def _wait_for(address: Address, name: str) -> None:
    deadline = time.monotonic() + START_SECONDS
    while time.monotonic() < deadline:
        with contextlib.suppress(OSError), socket.create_connection(address, 1.0):
            return
        time.sleep(0.02)
    raise RuntimeError(f"{name} does not accept at {address[0]}:{address[1]}; see its messages above")
