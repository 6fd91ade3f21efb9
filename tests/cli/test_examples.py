"""Every command's help has examples that work: asked of one running demo, or parsed where the command would run for ever."""

from __future__ import annotations

import re
import shlex
from pathlib import Path

import click
import pytest

from tests.cli.conftest import Demo
from tests.netns import needs_netns
from userproxy.cli import CONTEXT, cli

pytestmark = [pytest.mark.netns, needs_netns]

FOR_EVER = frozenset({"run", "standalone", "endpoints-controller"})
"""They run until a signal; tests/e2e does that."""
FOLLOWING = frozenset({"-f", "--follow", "-w", "--watch"})
CHANGES = frozenset({"cleanup"})
"""Not beside a demo that other tests use; tests/e2e runs it."""
FILES = ("events",)
"""Files that examples read."""
MAY_BE_SILENT = frozenset({"observe"})
"""When nothing happened there is nothing to show."""
NEEDS_MORE = {"check": ("--master", "http://127.0.0.1:8001")}
"""What an example leaves to the environment it runs in."""


def examples() -> list[tuple[str, str]]:
    """Return each command's name with each example of its help."""
    found = []
    for name, command in cli.commands.items():
        text = (command.help or "").partition("Example")[2]
        found += [(name, line.strip()) for line in text.splitlines() if line.strip().startswith("userproxy ")]
    return found


def test_every_command_has_an_example() -> None:
    assert {name for name, _ in examples()} == set(cli.commands)


@pytest.mark.parametrize(("name", "example"), examples(), ids=lambda value: value)
def test_an_example_works(
    demo: Demo, name: str, example: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    words = shlex.split(re.sub(r"\s+#.*", "", example))[1:]
    if name in FOR_EVER | CHANGES or FOLLOWING & set(words):
        parent = click.Context(cli, **CONTEXT)
        with cli.commands[name].make_context(name, words[1:], parent) as context:
            assert isinstance(context, click.Context)
        return
    redirected = words.index(">") if ">" in words else len(words)
    for file in FILES:
        Path(file).touch()
    done = demo.userproxy(*words[:redirected], *NEEDS_MORE.get(name, ()))
    assert done.code == 0, done
    assert done.out or name in MAY_BE_SILENT
