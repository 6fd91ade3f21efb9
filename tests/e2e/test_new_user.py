"""A new user's path, as the README and the help tell it: check, demo, curl, page, explain, break a backend, observe, cleanup.

Runs the installed program by name, in a network namespace, as one story: each step needs the one before.
"""

from __future__ import annotations

import json
import re
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from tests.cli import invoke
from tests.e2e.child import ROOT
from tests.e2e.waiting import until
from tests.netns import namespace, needs_netns, needs_programs

pytestmark = [pytest.mark.netns, needs_netns, needs_programs("nft", "curl")]

PROGRAM = str(Path(sys.executable).with_name("userproxy"))
BREAK = """
table inet breakage {
  chain output {
    type filter hook output priority 0
    ip daddr 127.0.10.2 tcp flags syn reject with tcp reset
  }
}
"""


def test_from_the_first_check_to_cleanup() -> None:
    with namespace("new-user") as home:

        def typed(*arguments: str) -> str:
            """Run the program by its name; returns what it printed."""
            return home.run(PROGRAM, *arguments)

        def userproxy(*arguments: str, code: int = 0) -> str:
            """The same within this process, which spares each command its start."""
            with home.entered():
                done = invoke.userproxy(*arguments)
            assert done.code == code, done
            return done.out

        def curl(url: str) -> str:
            return home.run("curl", "--silent", "--show-error", "--max-time", "5", url)

        # Installed: it tells its version, and whether it can work here.
        assert typed("--version").startswith("userproxy, version ")
        assert "√ usable: --capture auto takes redirect (nft)" in typed("check", "--pre")
        before = home.state()

        # One mistake on the way: the agent is asked before it runs.
        userproxy("status", code=1)

        demo = home.start(
            PROGRAM, "standalone", "--demo", cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL
        )
        assert demo.stdout is not None
        shown = ""
        for line in demo.stdout:
            shown += line
            if line.startswith("Stop:"):
                break
        url = re.search(r"^Try: +curl (\S+)$", shown, re.MULTILINE)
        assert url, shown
        assert {curl(url[1]) for _ in range(3)} == {f"Hello from my-pod-{n}\n" for n in (1, 2, 3)}
        assert "State        ready" in userproxy("status", "--wait", "10s")

        told = userproxy("explain", "10.96.163.26:80")
        assert "carried by Service port default/my-service: to one of 3 endpoints" in told
        assert "failed:" not in told

        # A backend breaks: every client is served all the same, and observe and explain say which one it was.
        home.run("nft", "-f", "-", stdin=BREAK)
        assert {curl(url[1]) for _ in range(6)} == {"Hello from my-pod-1\n", "Hello from my-pod-3\n"}

        def retried() -> bool:
            events = [
                json.loads(line)
                for line in userproxy("observe", "--verdict", "retried", "-o", "json").splitlines()
            ]
            return any(one["failed"][0].startswith("127.0.10.2:") for one in events)

        until(retried, 10.0)
        assert "retried after 127.0.10.2:" in userproxy("explain", "svc/my-service")
        home.run("nft", "delete", "table", "inet", "breakage")

        # Killed, so that something is left to clean up.
        demo.send_signal(signal.SIGKILL)
        demo.wait(10)
        demo.stdout.close()
        assert "‼ leftovers: table ip userproxy" in userproxy("check", "--only", "host/leftovers")
        assert "nft table ip userproxy" in typed("cleanup")
        assert home.state() == before
        assert userproxy("cleanup") == "nothing of userproxy was found\n"
