"""One running demo for all tests of commands that ask an agent, in a network namespace of its own."""

from __future__ import annotations

import subprocess
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from typing import IO

import pytest

from tests.cli.invoke import Done, userproxy
from tests.e2e.agent import USERPROXY
from tests.e2e.child import ROOT
from tests.netns import Namespace, namespace


@dataclass(frozen=True)
class Demo:
    """`userproxy standalone --demo` in `home`."""

    home: Namespace
    process: subprocess.Popen[str]
    log: IO[str]

    def userproxy(self, *arguments: str) -> Done:
        """Run a command beside it."""
        with self.home.entered():
            return userproxy(*arguments)


@pytest.fixture(scope="session")
def demo() -> Iterator[Demo]:
    """The demo, ready; its Service is my-service at 10.96.163.26:80 with three endpoints."""
    with namespace("demo") as home, tempfile.TemporaryFile("w+") as log:
        process = home.start(
            *USERPROXY,
            "standalone",
            "--demo",
            "--no-api-tls",
            "--drain-timeout",
            "0.5",
            "--workers",
            "1",
            "--log-format",
            "json",
            "--log-level",
            "debug",
            cwd=ROOT,
            stdout=subprocess.PIPE,
            stderr=log,
        )
        assert process.stdout is not None
        for line in process.stdout:
            if line.startswith("Stop:"):
                break
        else:
            log.seek(0)
            pytest.fail(f"the demo ended with {process.wait(10)}: {log.read()}")
        yield Demo(home, process, log)
        process.terminate()
        process.wait(15)
        process.stdout.close()
