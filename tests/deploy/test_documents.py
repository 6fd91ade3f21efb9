"""The documents name files, commands, flags and sections that exist."""

from __future__ import annotations

import re
import shlex
from pathlib import Path

import click
import pytest

from tests.deploy.rendered import DEPLOY, ROOT
from userproxy import __version__
from userproxy.cli import cli

DOCUMENTS = [ROOT / "README.md", *sorted(DEPLOY.glob("*.md")), DEPLOY / "prometheus" / "runbook.md"]
each_document = pytest.mark.parametrize("document", DOCUMENTS, ids=lambda path: str(path.relative_to(ROOT)))


def anchors(document: Path) -> set[str]:
    """Return the anchors of a page's headings, as GitHub makes them."""
    headings = re.findall(r"^#+ (.+)$", document.read_text(), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading).strip().lower().replace(" ", "-") for heading in headings}


@each_document
def test_links_lead_somewhere(document: Path) -> None:
    for link in re.findall(r"\]\(([^)\s]+)\)", document.read_text()):
        if link.startswith("https://"):
            continue
        path, _, anchor = link.partition("#")
        target = (document.parent / path).resolve() if path else document
        assert target.exists(), link
        if anchor:
            assert anchor in anchors(target), link


@each_document
def test_files_that_are_named_exist(document: Path) -> None:
    text = document.read_text()
    for path in re.findall(r"(?<![\w/.])((?:deploy|tests|userproxy)/[\w./*-]*\w)", text):
        named = ROOT / path
        assert named.exists() or list(ROOT.glob(path)), path


@pytest.mark.parametrize(
    "document", [path for path in DOCUMENTS if path.name != "reference.md"], ids=lambda path: path.name
)
def test_commands_and_flags_exist(document: Path) -> None:
    """In code that begins with `userproxy`, or has it after `--`; the reference has tests of its own."""
    code = "\n".join(re.findall(r"```sh\n(.*?)```", document.read_text(), re.DOTALL))
    code += "\n" + "\n".join(re.findall(r"`(userproxy [^`]+)`", document.read_text()))
    for line in re.findall(r"(?:^|-- )userproxy ([^#\n]+)", code, re.MULTILINE):
        name, *words = shlex.split(line)
        if not re.fullmatch(r"[a-z-]+", name) or name.startswith("-"):
            continue
        assert name in cli.commands, line
        flags = {
            flag
            for option in cli.commands[name].params
            if isinstance(option, click.Option)
            for flag in (*option.opts, *option.secondary_opts)
        } | {"--help"}
        used = {word.partition("=")[0] for word in words if word.startswith("-") and word not in ("-", "--")}
        assert used <= flags, line


def test_the_changelog_has_the_version() -> None:
    assert re.search(rf"^## {re.escape(__version__)},", (DEPLOY / "CHANGELOG.md").read_text(), re.MULTILINE)


def test_the_map_of_the_code_names_what_is_there() -> None:
    text = (DEPLOY / "CONTRIBUTING.md").read_text()
    table = text[text.index("| you want to change") : text.index("```sh\n. .venv/bin/activate")]
    for path in re.findall(r"`([a-z_]+(?:/[\w*.]*)?(?:\.py)?)`", table):
        folder = ROOT if path.startswith(("tests", "deploy")) else ROOT / "userproxy"
        assert list(folder.glob(path.rstrip("/"))) or path in ("dependencies",), path
