"""What a person did wrong is told in one line: what failed, why, and what to do next; no traceback, and a fitting exit code."""

from __future__ import annotations

import socket
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.e2e.agent import HEALTH_PORT, METRICS_PORT, USERPROXY, ordinary_user
from tests.e2e.child import ROOT
from tests.e2e.scene import CAPTURES, needs_all
from tests.netns import Namespace, namespace

pytestmark = needs_all

NOBODY_HOME = ("--master", "http://127.0.0.1:9")
"""An API server that cannot be reached is no error of the command line: it may come later."""

USAGE: dict[str, tuple[list[str], list[str]]] = {
    "unknown flag": (["run", "--no-such-flag"], ["'--no-such-flag'", "run --help"]),
    "unknown command": (["serve"], ["'serve'", "--help"]),
    "unknown capture": (["run", "--capture", "magic"], ["--capture", "'magic'", "'redirect'", "run --help"]),
    "no API server": (["run"], ["no API server", "--kubeconfig FILE or --master URL"]),
    "URL without scheme": (["run", "--master", "127.0.0.1:8001"], ["--master", "http://HOST:PORT"]),
    "URL of something else": (["run", "--master", "ftp://10.0.0.1"], ["--master", "http://HOST:PORT"]),
    "URL without host": (["run", "--master", "http://"], ["--master", "http://HOST:PORT"]),
    "URL with a bad port": (["run", "--master", "http://10.0.0.1:99999"], ["--master", "http://HOST:PORT"]),
    "missing kubeconfig": (
        ["run", "--kubeconfig", "/nonexistent/config"],
        ["/nonexistent/config", "No such file or directory", "--kubeconfig"],
    ),
    "bad address": (
        ["run", *NOBODY_HOME, "--healthz-bind-address", "everywhere"],
        ["--healthz-bind-address", "'everywhere'", "IP:PORT"],
    ),
}


@pytest.fixture(name="alone", scope="module")
def _alone() -> Iterator[Namespace]:
    with namespace() as alone:
        yield alone


@pytest.mark.parametrize("case", USAGE)
def test_wrong_usage(case: str, alone: Namespace) -> None:
    arguments, said = USAGE[case]
    _fails(alone, arguments, code=2, said=said)


def test_a_kubeconfig_that_may_not_be_read(alone: Namespace, tmp_path: Path) -> None:
    folder = tmp_path / "config"
    folder.mkdir()
    _fails(alone, ["run", "--kubeconfig", str(folder)], code=2, said=[str(folder), "Is a directory"])
    broken = tmp_path / "broken.yaml"
    broken.write_text("clusters: [secret-token\n")
    line = _fails(alone, ["run", "--kubeconfig", str(broken)], code=2, said=[str(broken), "not YAML", "line"])
    assert "secret" not in line


@pytest.mark.parametrize(
    ("flag", "port"), [("--healthz-bind-address", HEALTH_PORT), ("--metrics-bind-address", METRICS_PORT)]
)
def test_a_port_in_use(flag: str, port: int, alone: Namespace) -> None:
    before = alone.state()
    with alone.entered():
        taken = socket.create_server(("127.0.0.1", port))
    with taken:
        said = [f"{flag}: cannot listen", f":{port}", "in use", "ss -ltnp", "stop it or choose another"]
        _fails(alone, ["run", *NOBODY_HOME, "--log-level", "warning"], code=1, said=said)
    assert alone.state() == before


@pytest.mark.parametrize("capture", ["redirect", *CAPTURES])
def test_no_permission_for_the_capture(capture: str, alone: Namespace) -> None:
    said = [f"capture {capture} is not usable", "ermi", "run as root or with CAP_NET_ADMIN", "--capture auto"]
    _fails(alone, ["run", *NOBODY_HOME, "--capture", capture], code=1, said=said, before=ordinary_user())


def test_no_permission_to_clean_up(alone: Namespace) -> None:
    said = ["cannot change addresses and routes", "not permitted", "run as root or with CAP_NET_ADMIN"]
    _fails(alone, ["cleanup"], code=1, said=said, before=ordinary_user())


def _fails(
    where: Namespace, arguments: list[str], *, code: int, said: list[str], before: tuple[str, ...] = ()
) -> str:
    """Run userproxy, which has to end with `code` and one line (besides its log) that holds all of `said`; return the line."""
    done = subprocess.run(
        ["ip", "netns", "exec", where.name, *before, *USERPROXY, *arguments],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=30,
        check=False,
    )
    assert (done.returncode, done.stdout) == (code, ""), done.stderr
    (line,) = [line for line in done.stderr.splitlines() if " INFO " not in line]
    assert line.startswith("userproxy: ")
    assert [text for text in said if text not in line] == [], line
    return line
