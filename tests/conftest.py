"""What holds for every test: strictness about skips, and nothing left behind.

With USERPROXY_TESTS_STRICT=1 (CI) a skipped test is a failure on a machine that could have run it: root, with network
namespaces. Elsewhere the reasons are printed at the end of the run.
"""

from __future__ import annotations

import os
import random
import shutil
import socket
import subprocess
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import settings

from userproxy.dataplane import ports

# Others use this machine too: how long one example takes says nothing.
settings.register_profile("untimed", deadline=None)
settings.load_profile("untimed")

OURS = f"upx-{os.getpid()}-"
skipped: dict[str, str] = {}


@pytest.fixture(autouse=True, scope="session")
def nothing_is_left_behind(temporary_files: Path) -> Iterator[None]:
    """The host's addresses, routes, rules and namespaces are after the tests what they were; no temporary file is left."""
    before = host_state()
    yield
    assert host_state() == before
    left = {path.name: first_seen_after.get(path.name, "the last test") for path in temporary_files.iterdir()}
    assert not left, f"left in the temporary directory, and the test after which it was there: {left}"


@pytest.fixture(autouse=True, scope="session")
def temporary_files(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """Tests and the programs that they start have a temporary directory of their own, so that it shows what they leave."""
    tmp_path_factory.getbasetemp()  # pytest's own directory stays where it is looked for
    outer = {"tempdir": tempfile.tempdir, "TMPDIR": os.environ.get("TMPDIR")}
    remove_what_killed_runs_left(Path(tempfile.gettempdir()))
    folder = Path(tempfile.mkdtemp(prefix=OURS))
    folder.chmod(0o1777)  # some tests run programs as another user
    tempfile.tempdir = os.environ["TMPDIR"] = str(folder)
    yield folder
    tempfile.tempdir = outer["tempdir"]
    if outer["TMPDIR"] is None:
        del os.environ["TMPDIR"]
    else:
        os.environ["TMPDIR"] = outer["TMPDIR"]
    shutil.rmtree(folder)


def remove_what_killed_runs_left(folder: Path) -> None:
    """Remove the temporary directories of test processes that are no more."""
    for path in folder.glob("upx-*-*"):
        if not Path("/proc", path.name.split("-")[1]).exists():
            shutil.rmtree(path, ignore_errors=True)


first_seen_after: dict[str, str] = {}


@pytest.fixture(autouse=True)
def temporary_files_are_noticed(temporary_files: Path, request: pytest.FixtureRequest) -> Iterator[None]:
    """Remember after which test a temporary file was there first: fixtures of a session or a module may still need it."""
    yield
    for name in os.listdir(temporary_files):
        first_seen_after.setdefault(name, request.node.nodeid)


# The processes of one run share the host's loopback: a port that one has closed must not be another's the next moment.
ports.FIRST += 2000 * (int(os.environ.get("PYTEST_XDIST_WORKER", "gw0").removeprefix("gw")) % 6)


@pytest.fixture
def free_port() -> int:
    """A port number that nobody listens on at any address, outside of what the kernel gives to outgoing connections."""
    for number in random.sample(range(20000, 32000), 100):
        with socket.socket(socket.AF_INET6) as sock:
            sock.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 0)
            try:
                sock.bind(("::", number))
            except OSError:
                continue
            return number
    raise AssertionError("a hundred ports are taken")


def host_state() -> dict[str, str]:
    """Return what tests could leave behind, by the command that shows it."""
    shown = {}
    for command in (
        ["ip", "netns", "list"],
        ["ip", "-brief", "address"],
        ["ip", "route", "show", "table", "all"],
        ["ip", "-6", "route", "show", "table", "all"],
        ["nft", "list", "ruleset"],
    ):
        try:
            result = subprocess.run(command, capture_output=True, text=True, check=False)
        except FileNotFoundError:
            continue
        # Another run of the tests on this machine has namespaces of its own; only ours must be gone.
        lines = [line for line in result.stdout.splitlines() if not line.startswith("upx-") or OURS in line]
        shown[" ".join(command)] = "\n".join(lines)
    return shown


def machine_can_run_all() -> bool:
    """Whether root and network namespaces are to be had here."""
    if os.geteuid() != 0:
        return False
    return subprocess.run(["unshare", "--net", "true"], check=False, capture_output=True).returncode == 0


def pytest_runtest_logreport(report: pytest.TestReport) -> None:
    """Remember skipped tests with their reasons."""
    if report.skipped and not hasattr(report, "wasxfail"):
        reason = report.longrepr[2] if isinstance(report.longrepr, tuple) else str(report.longrepr)
        skipped[report.nodeid] = reason


def pytest_sessionfinish(session: pytest.Session) -> None:
    """Fail a strict run that skipped what this machine could have run."""
    if os.environ.get("USERPROXY_TESTS_STRICT") == "1" and skipped and machine_can_run_all():
        for test, reason in skipped.items():
            print(f"\nskipped on a machine that could run it: {test}: {reason}")
        session.exitstatus = pytest.ExitCode.TESTS_FAILED


FIRST = ("test_readme.py", "test_api_outage.py", "test_kill.py", "test_repair_cleanup.py", "test_streams.py")
"""Files that take long; with several processes they begin first, so that none of them is what all others wait for."""


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Put the long files first; the order is otherwise that of the folders."""
    items.sort(key=lambda item: FIRST.index(item.path.name) if item.path.name in FIRST else len(FIRST))
