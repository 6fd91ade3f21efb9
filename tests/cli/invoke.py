"""The command line called in this process: quick, and with what it wrote and its exit code.

Owns putting back what a command changes of the process (arguments, log handlers). Commands that run until a signal are run as
processes instead.
"""

from __future__ import annotations

import contextlib
import io
import logging
import os
import sys
from dataclasses import dataclass
from unittest import mock

from userproxy.cli import main


@dataclass(frozen=True)
class Done:
    """How a command ended."""

    code: int
    out: str
    err: str


def userproxy(*arguments: str) -> Done:
    """Run the program with `arguments`; works in the network namespace that this thread is in."""
    out, err = io.StringIO(), io.StringIO()
    root = logging.getLogger()
    handlers, level = root.handlers[:], root.level
    code: object = 0
    try:
        with (
            mock.patch.dict(os.environ),
            mock.patch.object(sys, "argv", ["userproxy", *arguments]),
            contextlib.redirect_stdout(out),
            contextlib.redirect_stderr(err),
        ):
            main()
    except SystemExit as end:
        code = end.code
    finally:
        root.handlers[:] = handlers
        root.setLevel(level)
    return Done(int(str(code or 0)), out.getvalue(), err.getvalue())


def assert_wrong_input(arguments: list[str], code: int, says: str) -> None:
    """What a command is given is wrong: it ends with `code`, and one line says what to do."""
    done = userproxy(*arguments)
    assert done.code == code, done
    (line,) = done.err.splitlines()
    assert line.startswith("userproxy: ")
    assert says in line
    assert done.out == ""
