"""`userproxy top` beside the demo: a table for a pipe, the live screen of a terminal, and its failures."""

from __future__ import annotations

import os
import pty
import select
import subprocess
import time

import pytest

from tests.cli.conftest import Demo
from tests.cli.invoke import userproxy
from tests.e2e.agent import USERPROXY
from tests.e2e.child import ROOT
from tests.netns import needs_netns, needs_programs


@pytest.mark.netns
@needs_netns
@needs_programs("nft")
def test_a_table_for_a_pipe(demo: Demo) -> None:
    done = demo.userproxy("top", "--iterations", "2", "--search", "MY-serv")
    assert (done.code, done.err) == (0, "")
    tables = done.out.split("\n\n")
    assert len(tables) == 2
    for table in tables:
        assert "\x1b" not in table
        assert "capture redirect" in table
        assert "default/my-service " in table
        assert "10.96.163.26:80" in table
    assert "no Service matches" in demo.userproxy("top", "--search", "nothing").out


@pytest.mark.netns
@needs_netns
@needs_programs("nft")
def test_the_screen_obeys_keys_and_leaves_the_terminal_as_it_was(demo: Demo) -> None:
    ours, theirs = pty.openpty()
    try:
        process = demo.home.start(
            *USERPROXY,
            "top",
            cwd=ROOT,
            stdin=theirs,
            stdout=theirs,
            stderr=subprocess.PIPE,
            env={**os.environ, "TERM": "xterm", "COLUMNS": "110", "LINES": "20"},
        )
        os.close(theirs)
        shown = read_until(ours, "q quit")
        assert "\x1b[?1049h" in shown
        assert "default/my-service" in shown
        os.write(ours, b"p")
        assert "default/my-service" in read_until(ours, "paused")
        os.write(ours, b"pn]")
        assert "default/my-service" in read_until(ours, "q quit")
        os.write(ours, b"q")
        assert "\x1b[?1049l" in read_until(ours, "\x1b[?1049l")
        assert process.wait(10) == 0
        assert process.stderr is not None
        assert process.stderr.read() == ""
        process.stderr.close()
    finally:
        os.close(ours)


def read_until(terminal: int, text: str) -> str:
    """Return what the terminal shows from now on, once `text` is in it."""
    shown = ""
    ends = time.monotonic() + 20
    while text not in shown:
        assert select.select([terminal], [], [], max(0.0, ends - time.monotonic()))[0], shown
        shown += os.read(terminal, 65536).decode(errors="replace")
    return shown


@pytest.mark.parametrize(
    ("arguments", "code", "complaint"),
    [
        (("--sort", "size"), 2, "'size' is not one of"),
        (("--agent", "127.0.0.1:9"), 1, "no agent answers at 127.0.0.1:9"),
        (("--iterations", "0"), 2, "0 is not in the range"),
    ],
)
def test_wrong_use_is_one_line(arguments: tuple[str, ...], code: int, complaint: str) -> None:
    done = userproxy("top", *arguments)
    assert (done.code, done.out, done.err.count("\n")) == (code, "", 1)
    assert complaint in done.err
