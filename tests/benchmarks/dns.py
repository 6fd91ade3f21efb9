"""DNS through a UDP port: no proxy, nginx stream and userproxy in interleaved rounds, an endpoint leaving half-way.

Owns the targets, the two workloads and the files written. The client and the servers are the tests' (`tests.dns_client`,
`tests.dns_server`). Entered inside namespaces of its own.
"""

from __future__ import annotations

import json
import random
import subprocess
import sys
import tempfile
import time
from collections.abc import Collection, Iterator
from contextlib import ExitStack
from dataclasses import asdict, dataclass
from pathlib import Path

from tests.benchmarks.isolation import require
from tests.benchmarks.machine import ROOT, description
from tests.benchmarks.metrics import Sample, Values
from tests.benchmarks.processes import Process, family
from tests.benchmarks.report import Run, markdown, to_json
from tests.benchmarks.target_configs import DNS_ENDPOINTS, DNS_PORT, Address, nginx_dns
from tests.benchmarks.targets import DIRECT, NGINX, PLANE_PROCESS, USERPROXY
from tests.benchmarks.workloads import Window

CLIENTS = 50
"""Questions under way at once."""
START_SECONDS = 10.0
WORKLOADS = {"dns": (), "dns-kept": ("--keep",)}
"""With a port of its own for each question, as resolvers of applications ask; and with ports that are kept."""


@dataclass(frozen=True)
class Settings:
    """How to measure: so many questions in each sample."""

    rounds: int
    questions: int
    workers: str


class DnsTarget:
    """Something that carries questions to the servers; this one is the first of the servers itself."""

    def __init__(self, name: str, address: Address) -> None:
        self.name = name
        self.address = address
        self._process: Process | None = None

    @property
    def pids(self) -> list[int]:
        """The processes of the target; none for direct questions."""
        return family(self._process.pid) if self._process else []

    def start(self) -> None:
        """Start it and wait until it answers. Raises RuntimeError."""
        self._process = self._launch()
        deadline = time.monotonic() + START_SECONDS
        while ask(self.address, 1, 1)[0]["lost"] or not ask(self.address, 1, 1)[0]["answers"]:
            if time.monotonic() > deadline:
                raise RuntimeError(f"{self.name} does not answer at {self.address}; see its messages above")
            time.sleep(0.1)

    def stop(self) -> None:
        """End it."""
        if self._process is not None:
            self._process.stop()
            self._process = None

    def use_endpoints(self, indexes: Collection[int]) -> None:
        """Carry new flows to these servers from now on, where that can be changed."""

    def _launch(self) -> Process | None:
        return None


class NginxDns(DnsTarget):
    """nginx as a UDP proxy, one worker. A session ends with its answer, as is usual for DNS."""

    def __init__(self, folder: Path, number: int) -> None:
        super().__init__(NGINX, (f"127.0.{number}.1", DNS_PORT))
        self._config = folder / "dns.conf"
        self._config.write_text(nginx_dns(folder, number))

    def _launch(self) -> Process:
        return Process(["nginx", "-c", str(self._config)])


class PlaneDns(DnsTarget):
    """userproxy's data plane."""

    def __init__(self, number: int, workers: str) -> None:
        super().__init__(USERPROXY, (f"127.0.{number}.1", DNS_PORT))
        self._workers = workers

    def use_endpoints(self, indexes: Collection[int]) -> None:
        """Serve these endpoints."""
        if self._process is not None:
            self._process.ask({"serve": {"dns": [DNS_ENDPOINTS[i] for i in indexes]}})

    def _launch(self) -> Process:
        command = [sys.executable, "-P", str(PLANE_PROCESS), "--workers", self._workers]
        process = Process(command, lines=True, environment={"PYTHONPATH": str(ROOT)})
        failures = process.ask({"listen": {"dns": [self.address]}, "serve": {"dns": DNS_ENDPOINTS}})[
            "failures"
        ]
        if failures:
            raise RuntimeError(f"{self.name}: {failures[0]}")
        return process


def run(settings: Settings, output: Path) -> None:
    """Measure, print the table, and write dns.{json,md} into `output`."""
    require("nginx")
    machine = description()
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="userproxy-benchmark-")))
        folder.chmod(0o755)
        places = json.dumps([(f"192.0.2.{n}", place) for n, place in enumerate(DNS_ENDPOINTS, 1)])
        servers = Process([sys.executable, "-m", "tests.dns_server", places], lines=True)
        stack.callback(servers.stop)
        servers.answer()
        targets = [DnsTarget(DIRECT, DNS_ENDPOINTS[0]), NginxDns(folder, 3), PlaneDns(4, settings.workers)]
        for target in targets:
            stack.callback(target.stop)
            target.start()
        samples = tuple(_samples(settings, targets))
        made = Run(machine, asdict(settings), tuple(one.name for one in targets), NGINX, samples)
    table = markdown(made)
    print(table)
    output.mkdir(parents=True, exist_ok=True)
    (output / "dns.json").write_text(to_json(made))
    (output / "dns.md").write_text(table)
    print(f"written: {output}/dns.json, .md", file=sys.stderr)


def ask(address: Address, questions: int, clients: int, *options: str) -> list[dict]:
    """Ask once so many questions; return what the client says of them."""
    with _client(address, questions, clients, 1, *options) as process:
        return [json.loads(line) for line in process.stdout]


def measure(target: DnsTarget, questions: int, *options: str) -> Values:
    """Measure one sample: half of the questions, then the other half while an endpoint is away."""
    with Window(target) as window, _client(target.address, questions // 2, CLIENTS, 2, *options) as process:
        halves = [json.loads(process.stdout.readline())]
        target.use_endpoints(range(1, len(DNS_ENDPOINTS)))
        halves.append(json.loads(process.stdout.readline()))
    target.use_endpoints(range(len(DNS_ENDPOINTS)))
    answered = sum(sum(half["answers"].values()) for half in halves)
    return {
        # Of two halves of the same size the rate of the whole is the harmonic mean.
        "rate": 2 / sum(1 / half["rate"] for half in halves),
        "p50_us": max(half["p50_us"] for half in halves),
        "p99_us": max(half["p99_us"] for half in halves),
        "errors": sum(half["lost"] for half in halves),
        **window.values(answered),
    }


def _samples(settings: Settings, targets: list[DnsTarget]) -> Iterator[Sample]:
    rng = random.Random()
    for number in range(settings.rounds):
        for workload, options in WORKLOADS.items():
            for target in rng.sample(targets, len(targets)):
                values = measure(target, settings.questions, *options)
                shown = " ".join(f"{name}={value:.6g}" for name, value in values.items())
                print(
                    f"round {number + 1} {workload:10s} {target.name:14s} {shown}",
                    file=sys.stderr,
                    flush=True,
                )
                yield Sample(number, workload, target.name, values)


def _client(
    address: Address, questions: int, clients: int, rounds: int, *options: str
) -> subprocess.Popen[str]:
    host, port = address
    numbers = [str(port), str(clients), str(questions), str(rounds)]
    command = [sys.executable, "-m", "tests.dns_client", host, *numbers, *options]
    return subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, text=True)
