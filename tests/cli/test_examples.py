"""Every command's help has examples that work: asked of one running demo, or parsed where the command would run for ever."""

from __future__ import annotations

import re
import shlex

import click
import pytest

from tests.cli.conftest import Demo
from tests.netns import needs_netns
from userproxy.cli import cli

pytestmark = [pytest.mark.netns, needs_netns]

FOR_EVER = frozenset({"run", "standalone", "endpoints-controller"})
"""They run until a signal; tests/e2e does that."""
CHANGES = frozenset({"cleanup"})
"""Not beside a demo that other tests use; tests/e2e runs it."""
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
def test_an_example_works(demo: Demo, name: str, example: str) -> None:
    words = shlex.split(re.sub(r"\s+#.*", "", example))[1:]
    if name in FOR_EVER | CHANGES:
        with cli.commands[name].make_context(name, words[1:]) as context:
            assert isinstance(context, click.Context)
        return
    done = demo.userproxy(*words, *NEEDS_MORE.get(name, ()))
    assert done.code == 0, done
    assert done.out
