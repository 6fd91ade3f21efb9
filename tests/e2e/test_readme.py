"""Both commands of the README, on a fresh checkout with a fresh virtual environment."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from tests.e2e.child import ROOT
from tests.e2e.waiting import until
from tests.netns import namespace, needs_netns, needs_programs

pytestmark = [pytest.mark.netns, needs_netns, needs_programs("git", "nft"), pytest.mark.timeout(400)]

BASE_PYTHON = str(Path(sys.base_prefix) / "bin" / "python3")


def commands_of_the_readme() -> list[list[str]]:
    text = (ROOT / "README.md").read_text()
    block = re.search(r"## Two commands\n.*?```sh\n(.*?)```", text, re.DOTALL)
    assert block
    return [line.split("#")[0].split() for line in block[1].splitlines()]


@pytest.fixture(scope="module")
def checkout(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What a new user has: the files of this checkout that git knows or would add, and nothing installed."""
    target = tmp_path_factory.mktemp("fresh") / "userproxy"
    names = subprocess.run(
        ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=True,
    ).stdout.split("\0")
    for name in filter(None, names):
        source = ROOT / name
        if source.exists():
            copy = target / name
            copy.parent.mkdir(parents=True, exist_ok=True)
            copy.write_bytes(source.read_bytes())
    return target


def environment() -> dict[str, str]:
    dropped = (
        "VIRTUAL_ENV",
        "USERPROXY_VENV",
        "PYTHONPATH",
        "USERPROXY_TESTS_STRICT",
        "PYTEST_ADDOPTS",
        "COV_CORE_SOURCE",
    )
    return {name: value for name, value in os.environ.items() if name not in dropped}


def test_the_readme_has_two_commands() -> None:
    assert commands_of_the_readme() == [["python3", "deploy/demo.py"], ["python3", "tests/run.py"]]


def test_the_second_command_runs_the_tests(checkout: Path, tmp_path: Path) -> None:
    """With a part of the tests: this one is among them."""
    done = subprocess.run(
        [BASE_PYTHON, "tests/run.py", "-q", "tests/core", "tests/config"],
        cwd=checkout,
        env=environment() | {"PYTEST_DEBUG_TEMPROOT": str(tmp_path)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert re.search(r"\d+ passed", done.stdout)
    assert "warning" not in done.stdout.lower()


def test_the_first_command_runs_the_demo(checkout: Path) -> None:
    prepare = "import sys; sys.path.insert(0, 'deploy'); import environment; environment.ensure_environment()"
    # The namespace of the demo has no network, so what is downloaded is downloaded before.
    subprocess.run(
        [BASE_PYTHON, "-c", prepare], cwd=checkout, env=environment(), check=True, capture_output=True
    )
    output = checkout / "output"
    with namespace("readme") as home, output.open("w") as file:
        demo = home.start(
            BASE_PYTHON,
            "deploy/demo.py",
            cwd=checkout,
            env=environment(),
            stdout=file,
            stderr=subprocess.STDOUT,
        )
        until(lambda: "Stop: Ctrl-C" in output.read_text(), 30)
        found = re.search(r"Try: +curl (\S+)", output.read_text())
        assert found
        answers = {home.run("curl", "--silent", "--max-time", "5", found[1]) for _ in range(3)}
        assert answers == {f"Hello from my-pod-{n}\n" for n in (1, 2, 3)}
        demo.send_signal(signal.SIGINT)
        assert demo.wait(20) == 0
