"""Man pages and shell completion, made from the commands themselves.

Owns the layout of the pages (man(7)); every word of them is the commands' own help. One page for the program, one for each
command, all in section 1.
"""

from __future__ import annotations

import inspect
import re
from collections.abc import Callable, Iterator
from pathlib import Path

import click
from click.shell_completion import BashComplete, FishComplete, ZshComplete

from tests.deploy.rendered import DEPLOY
from tests.reference import EXIT_CODES
from userproxy import __version__
from userproxy.cli import CONTEXT, cli

MAN = DEPLOY / "man"
COMPLETION = DEPLOY / "completion"
SHELLS = {"bash": BashComplete, "zsh": ZshComplete, "fish": FishComplete}


def man_pages() -> dict[Path, Callable[[], str]]:
    """Return each page's file with what makes its text."""
    pages: dict[Path, Callable[[], str]] = {MAN / "userproxy.1": lambda: _page((), cli)}
    for path, command in _commands((), cli):
        pages[MAN / f"userproxy-{'-'.join(path)}.1"] = lambda path=path, command=command: _page(path, command)  # type: ignore[misc]
    return pages


def completions() -> dict[Path, Callable[[], str]]:
    """Return each shell's completion script with what makes its text."""
    return {
        COMPLETION / f"userproxy.{shell}": lambda kind=kind: (
            (  # type: ignore[misc]
                kind(cli, {}, "userproxy", "_USERPROXY_COMPLETE").source_template
                % {
                    "complete_func": "_userproxy_completion",
                    "complete_var": "_USERPROXY_COMPLETE",
                    "prog_name": "userproxy",
                }
            ).strip()
            + "\n"
        )
        for shell, kind in SHELLS.items()
    }


def _commands(path: tuple[str, ...], group: click.Group) -> Iterator[tuple[tuple[str, ...], click.Command]]:
    for name, command in sorted(group.commands.items()):
        yield (*path, name), command
        if isinstance(command, click.Group):
            yield from _commands((*path, name), command)


def _page(path: tuple[str, ...], command: click.Command) -> str:
    name = "-".join(("userproxy", *path))
    context = click.Context(command, info_name=" ".join(("userproxy", *path)), **CONTEXT)  # type: ignore[arg-type]
    paragraphs, examples = _help(command)
    lines = [
        '.\\" Made by `python3 -m tests.deploy.generate`.',
        f'.TH {name.upper()} 1 "" "userproxy {__version__}" "userproxy"',
        *(
            ".SH NAME",
            f"{_text(name)} \\- {_text(_summary(paragraphs[0]) if path else paragraphs[0].rstrip('.'))}",
        ),
        *(".SH SYNOPSIS", f".B {_text(context.command_path)}"),
        _text(" ".join(command.collect_usage_pieces(context))),
        *(".SH DESCRIPTION", *_flat(paragraphs)),
    ]
    if isinstance(command, click.Group):
        lines.append(".SH COMMANDS")
        for inner, one in sorted(command.commands.items()):
            text = _summary(_help(one)[0][0])
            lines += [".TP", f".BR {_text('-'.join((name, inner)))} (1)", _text(text)]
    lines += [".SH OPTIONS", *_options(command, context)]
    if examples:
        lines += [".SH EXAMPLES", ".nf", *(_text(line) for line in examples), ".fi"]
    lines += [".SH EXIT STATUS"]
    for code, text in EXIT_CODES.items():
        lines += [".TP", f".B {code}", _text(text)]
    lines += [
        ".SH SEE ALSO",
        ".BR userproxy (1)" if path else "deploy/README.md and deploy/reference.md of the project",
    ]
    return "\n".join(lines) + "\n"


def _help(command: click.Command) -> tuple[list[str], list[str]]:
    """Return the paragraphs of a command's help, and its examples' lines."""
    paragraphs, examples = [], []
    for block in inspect.cleandoc(command.help or command.short_help or "").split("\n\n"):
        if not block.startswith("\b"):
            paragraphs.append(" ".join(block.split()))
            continue
        title, *rest = block.removeprefix("\b\n").split("\n")
        if re.fullmatch(r"Examples?:", title):
            examples += [line.strip() for line in rest]
        else:
            paragraphs.append(" ".join([title, *rest]))
    return paragraphs, examples


def _summary(paragraph: str) -> str:
    sentence = paragraph.split(". ")[0].rstrip(".")
    return sentence[:1].lower() + sentence[1:] if sentence[1:2].islower() else sentence


def _options(command: click.Command, context: click.Context) -> Iterator[str]:
    for option in command.get_params(context):
        record = option.get_help_record(context)
        if record is None:  # an argument: it has no help of its own
            continue
        yield from (".TP", f".B {_text(record[0])}", _text(" ".join(record[1].split())))
        if (
            isinstance(option, click.Option)
            and option.name not in ("help", "version")
            and context.command is not cli
        ):
            words = [*context.command_path.split()[1:], str(option.name)]
            variable = "_".join(("USERPROXY", *words)).replace("-", "_").upper()
            yield from (".br", f"Variable: {_text(variable)}")


def _flat(paragraphs: list[str]) -> Iterator[str]:
    for number, paragraph in enumerate(paragraphs):
        if number:
            yield ".PP"
        yield _text(paragraph)


def _text(text: str) -> str:
    """Return `text` so that roff shows it as it is."""
    text = text.replace("\\", "\\e").replace("-", "\\-")
    return "\\&" + text if text.startswith((".", "'")) else text
