"""The command line of the benchmarks: python3 -m tests.benchmarks COMMAND [OPTIONS].

Parses and dispatches. Finds an interpreter that has the project installed when this one has not.
"""

from __future__ import annotations

import argparse
import compileall
import importlib.util
import os
import sys
from pathlib import Path

from tests.benchmarks import compare, dns, isolation, report, rounds, syscalls
from tests.benchmarks.control import scenario
from tests.benchmarks.standalone import scenario as standalone
from tests.benchmarks.workloads import WORKLOADS

ROOT = Path(__file__).resolve().parents[2]
RESULTS = Path(__file__).with_name("results")


def main() -> None:
    """Run one command."""
    os.environ["PATH"] += ":/usr/sbin:/sbin"
    arguments, options = _split(sys.argv[1:])
    chosen = _parser().parse_args(arguments)
    if chosen.command == "compare":
        _compare(chosen)
        return
    _use_project_python()
    isolation.enter(sys.argv[1:])
    _compile_bytecode()
    try:
        _measure(chosen, options)
    except RuntimeError as error:
        sys.exit(f"{chosen.command}: {error}")


def _measure(chosen: argparse.Namespace, options: list[str]) -> None:
    """Run a command that measures. Raises RuntimeError when something that it needs does not work."""
    if chosen.command == "dataplane":
        _dataplane(chosen)
    elif chosen.command == "dns":
        dns.run(dns.Settings(chosen.rounds, chosen.questions, chosen.workers), chosen.output)
    elif chosen.command == "syscalls":
        syscalls.run(chosen.seconds, chosen.workers, _others(chosen))
    elif chosen.command == "standalone":
        standalone.run(standalone.Settings(chosen.objects, chosen.changes, chosen.rounds), chosen.output)
    else:
        scenario.run(_control_settings(chosen, options), chosen.output)


def _compile_bytecode() -> None:
    """Leave the package as pip and the container image leave it.

    A checkout is compiled at each start of each process where PYTHONDONTWRITEBYTECODE is set: half a second of CPU.
    """
    compileall.compile_dir(ROOT / "userproxy", quiet=1)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python3 -m tests.benchmarks", description=__doc__)
    commands = parser.add_subparsers(dest="command", required=True)
    dataplane = commands.add_parser("dataplane", help="the relay against HAProxy, nginx stream and no proxy")
    dataplane.add_argument("--rounds", type=int, default=10)
    dataplane.add_argument("--seconds", type=float, default=4.0, help="of each sample")
    dataplane.add_argument(
        "--only", type=_workloads, default=tuple(WORKLOADS), help="workloads, separated by commas"
    )
    dataplane.add_argument(
        "--output", type=Path, default=RESULTS, help="folder for the table, the picture and the JSON file"
    )
    comparing = commands.add_parser("compare", help="the change between two JSON files of `dataplane`")
    comparing.add_argument("before", type=Path)
    comparing.add_argument("after", type=Path)
    counting = commands.add_parser("syscalls", help="system calls for each connection, counted with strace")
    counting.add_argument("--seconds", type=float, default=3.0)
    for relaying in (dataplane, counting):
        relaying.add_argument("--workers", default="1", help="as of `userproxy run` (default 1)")
        relaying.add_argument(
            "--also",
            action="append",
            default=[],
            metavar="NAME=DIR",
            help="another checkout in the same rounds",
        )
        relaying.add_argument(
            "--interpreter",
            action="append",
            default=[],
            metavar="NAME=PYTHON",
            help="this checkout run by another Python, which has its dependencies, in the same rounds",
        )
    asking = commands.add_parser("dns", help="DNS through a UDP port, beside nginx stream and no proxy")
    asking.add_argument("--rounds", type=int, default=3)
    asking.add_argument("--questions", type=int, default=50_000, help="of each sample")
    asking.add_argument("--workers", default="0", help="as of `userproxy run` (default 0: one process)")
    asking.add_argument("--output", type=Path, default=RESULTS)
    control = commands.add_parser(
        "control", help="`userproxy run` with many Services; options for it follow after --"
    )
    control.add_argument("--services", default="100,1000,10000", help="sizes, separated by commas")
    control.add_argument("--endpoints", type=int, default=10, help="of each Service")
    control.add_argument(
        "--starts", type=int, default=5, help="of userproxy at each size; their median counts"
    )
    control.add_argument("--changes", type=int, default=100, help="measured one by one at each size")
    control.add_argument(
        "--flood-rate", type=int, default=1000, help="endpoint changes a second at the largest size"
    )
    control.add_argument("--flood-seconds", type=float, default=10.0)
    alone = commands.add_parser("standalone", help="writes, lists and readiness of `userproxy standalone`")
    alone.add_argument("--objects", type=int, default=10_000, help="Services, and as many Pods")
    alone.add_argument("--changes", type=int, default=200, help="of a Pod's readiness")
    alone.add_argument("--rounds", type=int, default=1, help="of the writes; medians are shown")
    alone.add_argument("--output", type=Path, default=RESULTS)
    control.add_argument("--server", choices=("generated", "standalone"), default="generated")
    control.add_argument("--output", type=Path, default=RESULTS)
    return parser


def _workloads(text: str) -> tuple[str, ...]:
    """Return the workloads that `--only` names. Raises ArgumentTypeError."""
    names = tuple(text.split(","))
    unknown = ", ".join(sorted(set(names) - set(WORKLOADS)))
    if unknown:
        raise argparse.ArgumentTypeError(f"no workload {unknown}; there are {', '.join(WORKLOADS)}")
    return names


def _split(arguments: list[str]) -> tuple[list[str], list[str]]:
    """Return what is before and after `--`."""
    if "--" not in arguments:
        return arguments, []
    at = arguments.index("--")
    return arguments[:at], arguments[at + 1 :]


def _dataplane(chosen: argparse.Namespace) -> None:
    others = _others(chosen)
    settings = rounds.Settings(chosen.rounds, chosen.seconds, chosen.only, chosen.workers, others)
    rounds.run(settings, chosen.output)


def _others(chosen: argparse.Namespace) -> tuple[rounds.Other, ...]:
    """Return the further userproxy targets."""
    checkouts = [rounds.Other(name, root) for name, _, root in (text.partition("=") for text in chosen.also)]
    interpreters = (text.partition("=") for text in chosen.interpreter)
    return (*checkouts, *(rounds.Other(name, python=python) for name, _, python in interpreters))


def _control_settings(chosen: argparse.Namespace, options: list[str]) -> scenario.Settings:
    return scenario.Settings(
        sizes=tuple(int(size) for size in chosen.services.split(",")),
        endpoints=chosen.endpoints,
        starts=chosen.starts,
        changes=chosen.changes,
        flood_rate=chosen.flood_rate,
        flood_seconds=chosen.flood_seconds,
        server=chosen.server,
        options=tuple(options),
    )


def _compare(chosen: argparse.Namespace) -> None:
    print(compare.comparison(_read(chosen.before), _read(chosen.after)))


def _read(path: Path) -> report.Run:
    try:
        return report.read(path)
    except (OSError, ValueError) as error:
        sys.exit(f"compare: {path}: {error}")


def _use_project_python() -> None:
    """Start again with the project's virtual environment unless this interpreter can import the dependencies."""
    if importlib.util.find_spec("msgspec") and importlib.util.find_spec("uvloop"):
        return
    sys.path.insert(0, str(ROOT / "deploy"))
    from environment import ensure_environment  # type: ignore[import-not-found]

    python = ensure_environment()
    os.execv(python, [str(python), "-m", "tests.benchmarks", *sys.argv[1:]])


if __name__ == "__main__":
    main()
