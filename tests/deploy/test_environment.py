"""Making the environment of the two commands: what a person sees of it."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
MAKE = "import environment; print(environment.ensure_environment())"


def making(venv: Path, pip: str) -> subprocess.Popen[str]:
    """Start making `venv`, whose python, and so pip, is a shell script."""
    (venv / "bin").mkdir(parents=True)
    python = venv / "bin" / "python"
    python.write_text(f"#!/bin/sh\n{pip}\n")
    python.chmod(0o755)
    environment = {**os.environ, "PYTHONPATH": str(ROOT / "deploy"), "USERPROXY_VENV": str(venv)}
    return subprocess.Popen(
        [sys.executable, "-c", MAKE],
        env=environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        process_group=0,
    )


@pytest.mark.parametrize(("pip", "code", "said"), [("exit 0", 0, ""), ("exit 1", 1, "reachable?")])
def test_what_it_does_is_said_and_how_it_ended(tmp_path: Path, pip: str, code: int, said: str) -> None:
    process = making(tmp_path / "venv", pip)
    _, errors = process.communicate(timeout=30)
    assert process.returncode == code
    first, *rest = errors.splitlines()
    assert first.startswith(f"installing the dependencies into {tmp_path}/venv")
    assert [line.endswith(said) for line in rest] == [True] * (1 if said else 0)


def test_stopping_it_is_no_error_of_python(tmp_path: Path) -> None:
    with making(tmp_path / "venv", "echo pip runs >&2; exec sleep 60") as process:
        assert process.stderr is not None
        assert process.stderr.readline().startswith("installing")
        assert process.stderr.readline() == "pip runs\n"
        os.killpg(process.pid, signal.SIGINT)
        assert process.stderr.read() == "stopped; the next start goes on with it\n"
        assert process.wait(30) == 130
