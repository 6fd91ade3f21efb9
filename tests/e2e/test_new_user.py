"""A new user's path, as the README and the help tell it: check, demo, curl, page, explain, break a backend, observe, cleanup.

Runs the installed program by name, in a network namespace, as one story: each step needs the one before.
"""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.cli import invoke
from tests.e2e.child import ROOT
from tests.e2e.waiting import until
from tests.netns import Namespace, namespace, needs_netns, needs_programs

pytestmark = [pytest.mark.netns, needs_netns, needs_programs("nft", "curl")]

PROGRAM = str(Path(sys.executable).with_name("userproxy"))
PAGE = "http://127.0.0.1:10249/"
BREAK = """
table inet breakage {
  chain output {
    type filter hook output priority 0
    ip daddr 127.0.10.2 tcp flags syn reject with tcp reset
  }
}
"""


class Terminal:
    """What a user types in `home`."""

    def __init__(self, home: Namespace) -> None:
        self.home = home

    def program(self, *arguments: str) -> str:
        """Run the program by its name; returns what it printed."""
        return self.home.run(PROGRAM, *arguments)

    def userproxy(self, *arguments: str, code: int = 0) -> str:
        """The same within this process, which spares each command its start."""
        with self.home.entered():
            done = invoke.userproxy(*arguments)
        assert done.code == code, done
        return done.out

    def curl(self, url: str) -> str:
        """Return what a URL answers."""
        return self.home.run("curl", "--silent", "--show-error", "--max-time", "5", url)

    @contextmanager
    def demo(self, folder: Path) -> Iterator[str]:
        """Run the demo; yields the URL it says to try. Killed at the end, so that something is left to clean up.

        Its credentials are left in `folder`.
        """
        process = self.home.start(
            *(PROGRAM, "standalone", "--demo"),
            cwd=ROOT,
            env={**os.environ, "TMPDIR": str(folder), "XDG_RUNTIME_DIR": ""},
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
        )
        assert process.stdout is not None
        shown = ""
        for line in process.stdout:
            shown += line
            if line.startswith("Stop:"):
                break
        url = re.search(r"^Try: +curl (\S+)$", shown, re.MULTILINE)
        assert url, shown
        assert f"Page: {PAGE}\n" in shown
        yield url[1]
        process.send_signal(signal.SIGKILL)
        process.wait(10)
        process.stdout.close()


def test_from_the_first_check_to_cleanup(tmp_path: Path) -> None:
    with namespace("new-user") as home:
        user = Terminal(home)
        # Installed: it tells its version, and whether it can work here.
        assert user.program("--version").startswith("userproxy, version ")
        assert "√ usable: --capture auto takes redirect (nft)" in user.program("check", "--pre")
        before = home.state()
        # One mistake on the way: the agent is asked before it runs.
        user.userproxy("status", code=1)
        with user.demo(tmp_path) as url:
            first_look(user, url)
            a_backend_breaks(user, url)
        assert "‼ leftovers: table ip userproxy" in user.userproxy("check", "--only", "host/leftovers")
        assert "nft table ip userproxy" in user.program("cleanup")
        assert home.state() == before
        assert user.userproxy("cleanup") == "nothing of userproxy was found\n"


def first_look(user: Terminal, url: str) -> None:
    """The demo answers in turn, and status, page and explanation say so."""
    assert {user.curl(url) for _ in range(3)} == {f"Hello from my-pod-{n}\n" for n in (1, 2, 3)}
    assert "State        ready" in user.userproxy("status", "--wait", "10s")
    assert "<title>userproxy" in user.curl(PAGE)
    told = user.userproxy("explain", "10.96.163.26")
    assert "carried by Service port default/my-service: to one of 3 endpoints" in told
    assert "failed:" not in told


def a_backend_breaks(user: Terminal, url: str) -> None:
    """Every client is served all the same, and observe and explain say which endpoint it was."""
    user.home.run("nft", "-f", "-", stdin=BREAK)
    assert {user.curl(url) for _ in range(6)} == {"Hello from my-pod-1\n", "Hello from my-pod-3\n"}

    def retried() -> bool:
        lines = user.userproxy("observe", "--verdict", "retried", "-o", "json").splitlines()
        return any(json.loads(line)["failed"][0].startswith("127.0.10.2:") for line in lines)

    until(retried, 10.0)
    assert "retried after 127.0.10.2:" in user.userproxy("explain", "svc/my-service")
    user.home.run("nft", "delete", "table", "inet", "breakage")
