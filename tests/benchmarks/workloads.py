"""The workloads: each drives one target for a while and returns numbers.

Owns what is done and what is counted: rates, machine CPU for each unit, latencies, memory, errors. Which numbers are compared
and how they are shown is `metrics`' business; when each workload runs, `rounds` decides.
"""

from __future__ import annotations

import json
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field

from tests.benchmarks.downloads import IdleConnections, download_is_right
from tests.benchmarks.machine import connection_slab_bytes, cpu_time, socket_buffer_bytes
from tests.benchmarks.metrics import Values
from tests.benchmarks.processes import cpu_seconds, proportional_memory
from tests.benchmarks.target_configs import ENDPOINTS, OBJECT_PATH, PAGE_BODY, Address
from tests.benchmarks.targets import HAPROXY, Target
from tests.benchmarks.wrk import PAUSE_MS, Wrk, finish

CLOSE_CONNECTIONS = KEEPALIVE_CONNECTIONS = 32
BULK_CONNECTIONS = 4
IDLE_CONNECTIONS = 1000
PROBE_RATE, PROBE_CONNECTIONS = 1000, 16
"""Requests a second of the open-loop client, so few that it does not measure itself."""
MIXED_BULK_CONNECTIONS, MIXED_PROBE_RATE = 2, 500
CHANGES_A_SECOND = 20
SETTLE_SECONDS = 0.4


@dataclass
class Bench:
    """What workloads need: the load generator, how long each measures, and HAProxy's keep-alive rate once it is known."""

    wrk: Wrk
    seconds: float
    haproxy_rate: float = 0.0
    turn: int = 0
    targets: dict[str, Target] = field(default_factory=dict)


class Window:
    """What machine and target work between `__enter__` and `__exit__`, in CPU seconds."""

    def __init__(self, target: Target) -> None:
        self._target = target
        self.machine = self.target = self.stolen = self.seconds = 0.0

    def __enter__(self) -> Window:
        self._pids = self._target.pids
        self._own = cpu_seconds(self._pids)
        self._cpu, self._start = cpu_time(), time.perf_counter()
        return self

    def __exit__(self, *_: object) -> None:
        now = cpu_time()
        self.seconds = time.perf_counter() - self._start
        self.machine = now.busy - self._cpu.busy
        self.stolen = now.stolen - self._cpu.stolen
        self.target = cpu_seconds(self._pids) - self._own

    def values(self, units: float) -> Values:
        """Return machine and own CPU for each of `units`, and the share of one core that the hypervisor took away."""
        own = {"own_cpu": self.target / units} if self._pids else {}
        return {"cpu": self.machine / units, **own, "stolen": self.stolen / self.seconds}


def close(target: Target, bench: Bench) -> Values:
    """Measure new connections: one request on each, closed by the endpoint."""
    with Window(target) as window:
        address = target.address("web", bench.turn)
        result = bench.wrk.run(address, bench.seconds, CLOSE_CONNECTIONS, close=True)
    latencies = {"p50_us": result.p50_us, "p99_us": result.p99_us}
    return {"rate": result.rate, **latencies, "errors": result.errors, **window.values(result.requests)}


def keepalive(target: Target, bench: Bench) -> Values:
    """Measure requests over connections that stay open."""
    with Window(target) as window:
        result = bench.wrk.run(target.address("web", bench.turn), bench.seconds, KEEPALIVE_CONNECTIONS)
    if target.name == HAPROXY:
        bench.haproxy_rate = result.rate
    latencies = {"p50_us": result.p50_us, "p99_us": result.p99_us}
    return {"rate": result.rate, **latencies, "errors": result.errors, **window.values(result.requests)}


def latency(target: Target, bench: Bench) -> Values:
    """Measure latencies at half of HAProxy's keep-alive rate.

    wrk gives the load, with pauses between the requests of each connection; an open-loop client measures beside it. `load_*` is
    what wrk sees of its own requests: finer, but measured from the sending.
    """
    if not bench.haproxy_rate:
        keepalive(bench.targets[HAPROXY], bench)
    address = target.address("web", bench.turn)
    connections = max(1, round(bench.haproxy_rate / 2 * PAUSE_MS / 1000))
    with Window(target) as window:
        load = bench.wrk.start(address, bench.seconds + 2 * SETTLE_SECONDS, connections, paced=True)
        time.sleep(SETTLE_SECONDS)
        probe = _probe(address, PROBE_RATE, PROBE_CONNECTIONS, bench.seconds)
        found = finish(load)
    return {
        **{name: probe[name] for name in ("p50_us", "p99_us", "p999_us", "max_us")},
        "load_rate": found.rate,
        "load_p50_us": found.p50_us,
        "load_p99_us": found.p99_us,
        "load_p999_us": found.p999_us,
        "errors": probe["errors"] + found.errors,
        **window.values(found.requests),
    }


def bulk_down(target: Target, bench: Bench) -> Values:
    """Measure downloads of a 16 MiB object; afterwards one download is compared byte by byte."""
    address = target.address("web", bench.turn)
    with Window(target) as window:
        result = bench.wrk.run(address, bench.seconds, BULK_CONNECTIONS, path=OBJECT_PATH)
    gigabytes = result.bytes / 1e9
    wrong = not download_is_right(address)
    rate = gigabytes / result.seconds
    return {"rate": rate, "errors": result.errors, "wrong": wrong, **window.values(gigabytes)}


def bulk_up(target: Target, bench: Bench) -> Values:
    """Measure uploads; the sink compares every byte."""
    host, port = target.address("sink", bench.turn)
    with Window(target) as window:
        result = _run_module(
            "upload", host, str(port), f"--seconds={bench.seconds}", f"--connections={BULK_CONNECTIONS}"
        )
    gigabytes = result["bytes"] / 1e9
    return {"rate": gigabytes / result["seconds"], "wrong": result["wrong"], **window.values(gigabytes)}


def idle(target: Target, bench: Bench) -> Values:
    """Measure the memory of idle connections, in bytes for each. The target is started afresh, since memory is kept."""
    target.stop()
    target.start()
    address = target.address("web", bench.turn)
    with IdleConnections(address, 2):
        time.sleep(SETTLE_SECONDS)
    empty = proportional_memory(target.pids)
    slab, buffers = connection_slab_bytes(), socket_buffer_bytes()
    with IdleConnections(address, IDLE_CONNECTIONS) as connections:
        time.sleep(SETTLE_SECONDS)
        full = proportional_memory(target.pids)
        process = {"process_bytes": (full - empty) / IDLE_CONNECTIONS, "empty_process_bytes": empty}
        return {
            **(process if target.pids else {}),
            "kernel_bytes": (connection_slab_bytes() - slab) / IDLE_CONNECTIONS,
            "buffer_bytes": (socket_buffer_bytes() - buffers) / IDLE_CONNECTIONS,
            "errors": connections.failures,
        }


def churn(target: Target, bench: Bench) -> Values:
    """Measure new connections while half of the endpoints are replaced CHANGES_A_SECOND times a second."""
    changer = _Changer(target)
    with Window(target) as window, changer:
        address = target.address("web", bench.turn)
        result = bench.wrk.run(address, bench.seconds, CLOSE_CONNECTIONS, close=True)
    return {
        "rate": result.rate,
        "p99_us": result.p99_us,
        "changes": changer.changes / window.seconds,
        "errors": result.errors,
        **window.values(result.requests),
    }


def mixed(target: Target, bench: Bench) -> Values:
    """Measure short requests, in an open loop, while downloads take all the bandwidth there is."""
    address = target.address("web", bench.turn)
    with Window(target) as window:
        duration = bench.seconds + 2 * SETTLE_SECONDS
        load = bench.wrk.start(address, duration, MIXED_BULK_CONNECTIONS, path=OBJECT_PATH)
        time.sleep(SETTLE_SECONDS)
        probe = _probe(address, MIXED_PROBE_RATE, PROBE_CONNECTIONS, bench.seconds)
        found = finish(load)
    gigabytes = found.bytes / 1e9
    return {
        "rate": gigabytes / found.seconds,
        **{name: probe[name] for name in ("p50_us", "p99_us", "p999_us")},
        "errors": probe["errors"] + found.errors,
        **window.values(gigabytes),
    }


WORKLOADS: dict[str, Callable[[Target, Bench], Values]] = {
    "close": close,
    "keepalive": keepalive,
    "latency": latency,
    "bulk-down": bulk_down,
    "bulk-up": bulk_up,
    "idle": idle,
    "churn": churn,
    "mixed": mixed,
}


def can_run(workload: str, target: Target) -> bool:
    """Return whether a target takes part in a workload."""
    return workload != "churn" or target.can_churn


class _Changer:
    """Uses one half of a target's endpoints, then the other, in turn, from a thread of its own; at the end all of them."""

    def __init__(self, target: Target) -> None:
        self._target = target
        self._end = threading.Event()
        self._thread = threading.Thread(target=self._run, name="endpoint changes")
        self._failure: Exception | None = None
        self.changes = 0

    def __enter__(self) -> _Changer:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._end.set()
        self._thread.join()
        if self._failure is not None:
            raise self._failure

    def _run(self) -> None:
        due = time.monotonic()
        try:
            while not self._end.wait(max(0.0, due - time.monotonic())):
                self._target.use_endpoints(range(self.changes % 2, ENDPOINTS, 2))
                self.changes += 1
                due += 1 / CHANGES_A_SECOND
            self._target.use_endpoints(range(ENDPOINTS))
        except (OSError, RuntimeError) as error:
            self._failure = error


def _probe(address: Address, rate: int, connections: int, seconds: float) -> Values:
    host, port = address
    request = r"GET / HTTP/1.1\r\nHost: benchmark\r\n\r\n"
    end = PAGE_BODY.decode().encode("unicode_escape").decode()
    options = [f"--rate={rate}", f"--seconds={seconds}", f"--connections={connections}"]
    return _run_module("open_loop", host, str(port), *options, f"--request={request}", f"--end={end}")


def _run_module(module: str, *arguments: str) -> Values:
    """Run a client of this package as a process of its own and return what it prints."""
    command = [sys.executable, "-m", f"tests.benchmarks.{module}", *arguments]
    done = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=False)
    if done.returncode != 0:
        raise RuntimeError(f"{module} failed with status {done.returncode}; see its messages above")
    values: Values = json.loads(done.stdout)
    return values
