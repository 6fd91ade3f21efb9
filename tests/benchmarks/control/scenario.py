"""The benchmark of the control side, as a story: for each size an API server, a userproxy, changes, a flood, a new list.

Owns the network of the namespace, the order of the measurements and the files written at the end.
"""

from __future__ import annotations

import random
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import ExitStack
from dataclasses import asdict, dataclass
from pathlib import Path

from tests.benchmarks.control import effect, figures, stalls
from tests.benchmarks.control.agent_process import AgentProcess
from tests.benchmarks.control.cluster_objects import ENDPOINT_NETWORK, first_addresses, fresh_addresses
from tests.benchmarks.control.figures import Figures
from tests.benchmarks.machine import description, summary_line
from tests.benchmarks.processes import Process

STALL_SECONDS = 5.0
CREATED_SHARE = 0.3
"""How many Services are created for each one that is changed."""
FLOOD_REST = 0.1


@dataclass(frozen=True)
class Settings:
    """How to measure: numbers of Services, endpoints of each, starts of userproxy, changes measured one by one.

    The rest as on the command line.
    """

    sizes: tuple[int, ...]
    endpoints: int
    starts: int
    changes: int
    flood_rate: int
    flood_seconds: float
    server: str
    options: tuple[str, ...] = ()


def run(settings: Settings, output: Path) -> None:
    """Measure every size, print the table, and write control.{json,md} into `output`."""
    machine = description()
    _make_network()
    found: dict[int, Figures] = {}
    with tempfile.TemporaryDirectory(prefix="userproxy-benchmark-") as folder, ExitStack() as stack:
        endpoints = Process([sys.executable, "-m", f"{__package__}.address_server"], lines=True)
        stack.callback(endpoints.stop)
        endpoints.answer()
        for size in settings.sizes:
            found[size] = _measure_size(settings, size, Path(folder))
    options = " ".join(settings.options) or "no options"
    table = (
        f"{figures.table(found)}\n\n{summary_line(machine)}. {settings.endpoints} endpoints for each Service, "
        f"{settings.server} API server, userproxy run with {options}. "
        f"{machine['background_cores_busy']} cores were busy before the benchmark began.\n"
    )
    print(table)
    output.mkdir(parents=True, exist_ok=True)
    (output / "control.json").write_text(figures.to_json(machine, asdict(settings), found))
    (output / "control.md").write_text(table)
    print(f"written: {output}/control.json, .md", file=sys.stderr)


def _measure_size(settings: Settings, size: int, folder: Path) -> Figures:
    found: Figures = {}
    with ExitStack() as stack:
        api = _start_api(settings, size)
        stack.callback(api.stop)
        hello = api.answer()
        if hello["bytes"]:
            found["list_bytes"] = hello["bytes"]
        log = folder / f"userproxy-{size}.log"
        agents = [_started_and_stopped(settings, hello["url"], log) for _ in range(settings.starts - 1)]
        agent = AgentProcess(hello["url"], settings.options, log)
        stack.callback(agent.stop)
        found |= _starts([*agents, agent])
        try:
            # Ready means that the last Service works, not that a flag is set.
            effect.wait_until_carried(size - 1, first_addresses(size - 1, settings.endpoints))
            _say(size, f"ready after {found['ready_seconds']:.2f} s")
            found |= _changes(settings, size, api, agent)
            found |= _flood(settings, size, api, agent)
            if settings.server == "generated":
                found |= _relist(settings, size, api, agent)
            found |= _memory(agent)
        except effect.NoEffect:
            sys.stderr.write(agent.last_messages() + "\n")
            raise
    return found


def _started_and_stopped(settings: Settings, url: str, log: Path) -> AgentProcess:
    agent = AgentProcess(url, settings.options, log)
    agent.stop()
    return agent


def _starts(agents: Sequence[AgentProcess]) -> Figures:
    """Return the median of several starts, and their range: the machine is not as fast in one second as in another."""
    seconds = [agent.ready_seconds for agent in agents]
    return {
        "ready_seconds": statistics.median(seconds),
        "ready_least": min(seconds),
        "ready_most": max(seconds),
        "ready_cpu": statistics.median(agent.ready_cpu for agent in agents),
    }


def _changes(settings: Settings, size: int, api: Process, agent: AgentProcess) -> Figures:
    """Change Services one by one, then create some."""
    addresses = fresh_addresses(settings.endpoints)
    before = agent.control_cpu()
    changed = effect.measure(api, "change", _picked(size, settings.changes), addresses)
    cpu = (agent.control_cpu() - before) / len(changed)
    count = max(1, round(settings.changes * CREATED_SHARE))
    created = effect.measure(api, "create", range(size, size + count), addresses)
    _say(size, f"changes {max(changed) * 1e3:.1f} ms at most, creations {max(created) * 1e3:.1f} ms")
    return {**figures.latencies("change", changed), "change_cpu": cpu, **figures.latencies("create", created)}


def _flood(settings: Settings, size: int, api: Process, agent: AgentProcess) -> Figures:
    """Change endpoints at a high rate, and measure single changes of other Services meanwhile."""
    measured, flooded = (range(start, size, 2) for start in (0, 1))
    addresses = _late(fresh_addresses(settings.endpoints))
    cpu, start = agent.control_cpu(), time.monotonic()
    before = api.ask({"do": "count"})["flooded"]
    api.ask(
        {
            "do": "flood",
            "rate": settings.flood_rate,
            "seconds": settings.flood_seconds,
            "services": list(flooded),
        }
    )
    lags: list[float] = []
    while time.monotonic() - start < settings.flood_seconds:
        lags += effect.measure(api, "change", [random.choice(measured)], addresses, FLOOD_REST)
    written = api.ask({"do": "count"})["flooded"] - before
    seconds = time.monotonic() - start
    growth = figures.growth(lags)
    _say(size, f"flood {written / seconds:.0f} changes/s, lag grew by {growth * 1e3:.1f} ms")
    return {
        **figures.latencies("flood", lags),
        "flood_rate": written / seconds,
        "flood_growth": growth,
        "flood_cpu": (agent.control_cpu() - cpu) / max(1, written),
    }


def _relist(settings: Settings, size: int, api: Process, agent: AgentProcess) -> Figures:
    """Make userproxy read the whole list again, and see what relayed requests notice."""
    number = size // 2
    quiet = stalls.measure(number, settings.endpoints, STALL_SECONDS / 2, lambda: None)
    cpu = agent.control_cpu()
    busy = stalls.measure(number, settings.endpoints, STALL_SECONDS, lambda: api.ask({"do": "expire"}))
    _say(size, f"longest wait {busy['relay_max_us'] / 1e3:.1f} ms while listing again")
    return {
        **{f"quiet_{name}": value for name, value in quiet.items()},
        **{f"relist_{name}": value for name, value in busy.items()},
        "relist_cpu": agent.control_cpu() - cpu,
    }


def _memory(agent: AgentProcess) -> Figures:
    control, workers = agent.control_memory(), agent.worker_memory()
    found: Figures = {
        "control_rss": control["Rss"],
        "control_pss": control["Pss"],
        "control_peak": control["Peak"],
    }
    if workers:
        found["worker_rss"] = max(one["Rss"] for one in workers)
        found["worker_pss"] = max(one["Pss"] for one in workers)
    return found


def _start_api(settings: Settings, size: int) -> Process:
    module = f"{__package__}.{settings.server}_api"
    arguments = [f"--services={size}", f"--endpoints={settings.endpoints}"]
    return Process([sys.executable, "-m", module, *arguments], lines=True)


def _picked(size: int, count: int) -> list[int]:
    """Return Services to change, spread over all, none twice in a row."""
    return [(i * max(1, size // count) + i // size) % size for i in range(count)]


def _late(addresses: Iterator[list[str]]) -> Iterator[list[str]]:
    """Skip what an earlier part may have used."""
    for _ in range(2000):
        next(addresses)
    return addresses


def _make_network() -> None:
    """Make every endpoint address a local one, and give the namespace a default route, which a node always has."""
    for command in (
        ["link", "add", "uplink0", "type", "veth", "peer", "name", "outside0"],
        ["link", "set", "outside0", "up"],
        ["addr", "add", "192.0.2.2/24", "dev", "uplink0"],
        ["link", "set", "uplink0", "up"],
        ["neigh", "add", "192.0.2.1", "lladdr", "02:00:00:00:00:01", "dev", "uplink0", "nud", "permanent"],
        ["route", "add", "default", "via", "192.0.2.1", "dev", "uplink0"],
        ["route", "add", "local", ENDPOINT_NETWORK, "dev", "lo"],
    ):
        subprocess.run(["ip", *command], check=True)


def _say(size: int, text: str) -> None:
    print(f"{size} Services: {text}", file=sys.stderr, flush=True)
