"""The man pages are clean for groff and complete; the completion scripts complete."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import click
import pytest

from tests.deploy.man_pages import COMPLETION, MAN, SHELLS, man_pages
from tests.netns import needs_programs
from userproxy.cli import cli

PAGES = sorted(man_pages())
PROGRAM = Path(sys.prefix, "bin", "userproxy")


@needs_programs("man")
@pytest.mark.parametrize("page", PAGES, ids=lambda path: path.name)
def test_groff_has_nothing_to_warn_about(page: Path) -> None:
    show = ["man", "--warnings", "--local-file", "--encoding=UTF-8", str(page)]
    environment = {"PATH": os.environ["PATH"], "LC_ALL": "C.UTF-8", "MANWIDTH": "100", "MANROFFOPT": ""}
    done = subprocess.run(show, check=True, capture_output=True, text=True, env=environment)
    assert done.stderr == ""
    for section in ("NAME", "SYNOPSIS", "DESCRIPTION", "OPTIONS", "EXIT STATUS"):
        assert f"\n{section}\n" in done.stdout


def test_there_is_a_page_for_every_command_and_no_other() -> None:
    names = {"userproxy.1"}

    def collect(prefix: str, group: click.Group) -> None:
        for name, command in group.commands.items():
            names.add(f"{prefix}-{name}.1")
            if isinstance(command, click.Group):
                collect(f"{prefix}-{name}", command)

    collect("userproxy", cli)
    assert {page.name for page in MAN.iterdir()} == names


@pytest.mark.parametrize("shell", SHELLS)
def test_the_shell_reads_the_script(shell: str) -> None:
    script = COMPLETION / f"userproxy.{shell}"
    assert "_USERPROXY_COMPLETE" in script.read_text()
    if shutil.which(shell):  # zsh and fish are on few machines; what they would read is click's own template
        check = [shell, "--no-execute" if shell == "fish" else "-n", str(script)]
        subprocess.run(check, check=True, capture_output=True)


def complete(*words: str) -> set[str]:
    script = (
        f"source {COMPLETION / 'userproxy.bash'}; COMP_WORDS=({' '.join(words)}); COMP_CWORD={len(words) - 1}; "
        f"_userproxy_completion {PROGRAM}; printf '%s\\n' \"${{COMPREPLY[@]}}\""
    )
    shown = subprocess.run(["bash", "-c", script], check=True, capture_output=True, text=True)
    return set(shown.stdout.split())


@pytest.mark.skipif(not PROGRAM.exists(), reason="userproxy is not installed here")
def test_bash_completes_commands_and_options() -> None:
    assert complete("userproxy", "stand") == {"standalone"}
    assert {"redirect", "route", "loopback"} <= complete("userproxy", "run", "--capture", "''")
