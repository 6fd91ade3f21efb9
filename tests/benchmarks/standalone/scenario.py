"""What is measured of `userproxy standalone`, in order, and the table that comes of it.

Runs the API server with its controllers and without a proxy for the writes, in memory and on disk, then the whole command for
the way from a Pod's readiness to the proxy. CPU is that of the server's one process: on a machine with other work the writes a
CPU second tell more than those a second.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import random
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from tests.benchmarks import machine
from tests.benchmarks.open_loop import quantile
from tests.benchmarks.standalone import objects
from tests.benchmarks.standalone.client import Connection, request, send_all

ROOT = Path(__file__).resolve().parents[3]
_PORT = 8001
_ADDRESS = ("127.0.0.1", _PORT)
_START_SECONDS, _SETTLE_SECONDS = 60.0, 300.0


@dataclass(frozen=True)
class Settings:
    """`objects` Services and as many Pods; `changes` of readiness; `rounds` of the writes."""

    objects: int = 10_000
    changes: int = 200
    rounds: int = 1


def run(settings: Settings, output: Path) -> None:
    """Measure, print and write `standalone.json` and `standalone.md`. Raises RuntimeError."""
    found: dict[str, float] = {}
    busy = machine.background_cores()
    with tempfile.TemporaryDirectory() as folder:
        for place in ("memory", "disk"):
            rounds = []
            for number in range(settings.rounds):
                data = Path(folder, f"{place}-{number}") if place == "disk" else None
                with _server(data) as process:
                    rounds.append(
                        asyncio.run(_writes(process.pid, settings.objects, lists=place == "memory"))
                    )
            measured = {f"{place}: {name}": _median([one[name] for one in rounds]) for name in rounds[0]}
            found |= measured
            for name, value in measured.items():
                print(f"{name}: {value:,.4g}", file=sys.stderr)
    with _backends(), _command() as process:
        found |= asyncio.run(_readiness(process.pid, settings))
    about = machine.description()
    where = f"{machine.summary_line(about)}; {busy:.1f} cores were used by others"
    table = "\n".join(
        ["| | |", "|---|---:|", *(f"| {name} | {value:,.4g} |" for name, value in found.items())]
    )
    print(table)
    output.mkdir(parents=True, exist_ok=True)
    text = json.dumps({"machine": about, "settings": vars(settings), "found": found}, indent=1)
    (output / "standalone.json").write_text(text + "\n")
    (output / "standalone.md").write_text(
        f"# `userproxy standalone`: {settings.objects:,} Services and as many Pods\n\n{table}\n\n{where}\n"
    )


def _median(values: Sequence[float]) -> float:
    return sorted(values)[len(values) // 2]


# ---- servers -----------------------------------------------------------------------------------------------------


@contextlib.contextmanager
def _server(data: Path | None) -> Iterator[subprocess.Popen[str]]:
    """The API server and its controllers, without a proxy."""
    arguments = ["tests.benchmarks.standalone.server", str(_PORT), *([str(data)] if data else [])]
    with _process(arguments, "ready") as process:
        yield process


@contextlib.contextmanager
def _command() -> Iterator[subprocess.Popen[str]]:
    """The whole command, as a user starts it."""
    options = [
        "--no-api-tls",
        "--service-cidr",
        "10.96.0.0/12",
        "--log-level",
        "error",
        "--drain-timeout",
        "0",
    ]
    with _process(["userproxy", "standalone", *options], "Stop:") as process:
        yield process


@contextlib.contextmanager
def _process(arguments: list[str], sign: str) -> Iterator[subprocess.Popen[str]]:
    process = subprocess.Popen(
        [sys.executable, "-m", *arguments], cwd=ROOT, stdout=subprocess.PIPE, text=True
    )
    try:
        assert process.stdout is not None
        if not any(line.startswith(sign) for line in process.stdout):
            raise RuntimeError(f"{' '.join(arguments)} ended with {process.wait(_START_SECONDS)}")
        yield process
    finally:
        process.send_signal(signal.SIGINT)
        process.wait(_START_SECONDS)


def _cpu(pid: int) -> float:
    """Seconds of CPU that a process has used."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


@contextlib.contextmanager
def _backends() -> Iterator[None]:
    """Two servers that answer with their address."""
    listeners = [socket.create_server((address, objects.BACKEND_PORT)) for address in objects.BACKENDS]

    def serve(listener: socket.socket) -> None:
        name = listener.getsockname()[0].encode()
        with contextlib.suppress(OSError):
            while True:
                connection, _peer = listener.accept()
                with connection:
                    connection.sendall(name)

    for listener in listeners:
        threading.Thread(target=serve, args=(listener,), daemon=True).start()
    yield
    for listener in listeners:
        listener.shutdown(socket.SHUT_RDWR)
        listener.close()


# ---- what is measured --------------------------------------------------------------------------------------------


async def _writes(pid: int, count: int, *, lists: bool) -> dict[str, float]:
    """Create Services and Pods, wait until every Pod is in a slice, list."""
    found: dict[str, float] = {}
    began, cpu = time.monotonic(), _cpu(pid)
    services = [objects.service(f"s{number}") for number in range(count)]
    pods = [objects.pod(f"p{number}", f"s{number}", objects.pod_address(number)) for number in range(count)]
    prepared = time.monotonic() - began
    for name, requests in (("Services", services), ("Pods", pods)):
        before = _cpu(pid)
        seconds = await send_all(_ADDRESS, requests)
        found[f"{name} created, /s"] = count / seconds
        found[f"{name} created, / CPU s of the server"] = count / (_cpu(pid) - before)
    await _until_all_are_behind(count)
    found["created and every Pod in its slice, s"] = time.monotonic() - began - prepared
    found["the same, CPU s of the server"] = _cpu(pid) - cpu
    if lists:
        async with Connection(_ADDRESS) as connection:
            for name, path in (("Services", "/api/v1/services"), ("Pods", "/api/v1/pods")):
                times = []
                for _round in range(5):
                    before = time.monotonic()
                    await connection.ask(request("GET", path))
                    times.append(time.monotonic() - before)
                found[f"list of all {name}, median of 5, s"] = _median(times)
    return found


async def _until_all_are_behind(count: int) -> None:
    deadline = time.monotonic() + _SETTLE_SECONDS
    async with Connection(_ADDRESS) as connection:
        while time.monotonic() < deadline:
            answer = json.loads(
                await connection.ask(request("GET", "/apis/discovery.k8s.io/v1/endpointslices"))
            )
            if sum(len(item["endpoints"] or ()) for item in answer["items"]) >= count:
                return
            await asyncio.sleep(0.1)
    raise RuntimeError(f"not every Pod was in a slice after {_SETTLE_SECONDS:.0f} s")


async def _readiness(pid: int, settings: Settings) -> dict[str, float]:
    """Fill the command's store, then tell again and again that a Pod is ready, and connect until it answers."""
    loaded, before = settings.objects, _cpu(pid)
    requests = [objects.service(f"s{number}") for number in range(loaded)]
    requests += [
        objects.pod(f"p{number}", f"s{number}", objects.pod_address(number)) for number in range(loaded)
    ]
    seconds = await send_all(_ADDRESS, requests)
    await _until_all_are_behind(loaded)
    found = {
        "with the proxy: Services and Pods created, /s": len(requests) / seconds,
        "with the proxy: Services and Pods created, / CPU s": len(requests) / (_cpu(pid) - before),
    }
    async with Connection(_ADDRESS) as connection:
        await connection.ask(objects.service("probed", clusterIP=objects.PROBED_IP))
        for name, address in zip(("one", "two"), objects.BACKENDS, strict=True):
            await connection.ask(objects.pod(name, "probed", address))
        await asyncio.to_thread(_wait_for, objects.BACKENDS[1])
        times = []
        for _change in range(settings.changes):
            await connection.ask(objects.readiness("two", False))
            await asyncio.to_thread(_wait_without, objects.BACKENDS[1])
            await asyncio.sleep(random.uniform(0, 0.03))  # not in step with anything
            began = time.monotonic_ns()
            await connection.ask(objects.readiness("two", True))
            times.append(await asyncio.to_thread(_wait_for, objects.BACKENDS[1]) - began)
    times.sort()
    for name, share in (("p50", 0.5), ("p99", 0.99), ("highest", 1.0)):
        found[f"Pod ready to first connection, {name}, ms"] = quantile(times, share) / 1e6
    return found


def _answer() -> str:
    with contextlib.suppress(OSError), socket.socket() as client:
        client.settimeout(1)
        client.connect((objects.PROBED_IP, 80))
        return client.recv(64).decode()
    return ""


def _wait_for(address: str) -> int:
    """Connect until an endpoint answers; return when it did (monotonic nanoseconds)."""
    deadline = time.monotonic() + 30
    while time.monotonic() < deadline:
        if _answer() == address:
            return time.monotonic_ns()
    raise RuntimeError(f"{address} did not answer within 30 s")


def _wait_without(address: str) -> None:
    """Connect until an endpoint has not answered several times in a row; with two in turn it would have."""
    deadline = time.monotonic() + 30
    others = 0
    while others < 6 and time.monotonic() < deadline:
        others = 0 if _answer() == address else others + 1
