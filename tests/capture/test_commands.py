"""Programs that work, fail, are missing, hang, or are broken off; with asyncio's loop and with uvloop."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import uvloop

from userproxy.capture import commands
from userproxy.capture.commands import ProgramMissing, failure, run
from userproxy.errors import CaptureError

LOOPS: list[Callable[[], asyncio.AbstractEventLoop]] = [asyncio.new_event_loop, uvloop.new_event_loop]


@pytest.fixture(params=LOOPS, ids=["asyncio", "uvloop"])
def runner(request: pytest.FixtureRequest) -> Iterator[asyncio.Runner]:
    with asyncio.Runner(loop_factory=request.param) as made:
        yield made


def test_input_and_output(runner: asyncio.Runner) -> None:
    assert runner.run(run(["cat"], "ä" * 100_000)) == "ä" * 100_000


def test_a_program_that_does_not_read_its_input(runner: asyncio.Runner) -> None:
    for _ in range(20):
        assert runner.run(run(["true"], "x" * 1_000_000)) == ""


def test_a_failure_tells_the_command_and_the_first_line(runner: asyncio.Runner) -> None:
    with pytest.raises(CaptureError, match=r"^ls /no/such/folder: .*No such file or directory$"):
        runner.run(run(["ls", "/no/such/folder"]))


def test_a_missing_program_is_named_with_the_path(
    runner: asyncio.Runner, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PATH", "/no/such/folder")
    with pytest.raises(ProgramMissing, match=r"^no cat program in PATH \(/no/such/folder\): install it"):
        runner.run(run(["cat"]))


def test_a_file_that_cannot_be_run(runner: asyncio.Runner, tmp_path: Path) -> None:
    program = tmp_path / "nft"
    program.write_text("no program")
    with pytest.raises(CaptureError, match="Permission denied"):
        runner.run(run([str(program)]))


def test_a_program_that_hangs_is_killed(
    runner: asyncio.Runner, monkeypatch: pytest.MonkeyPatch, others: set[str]
) -> None:
    monkeypatch.setattr(commands, "_TIMEOUT", 0.1)
    with pytest.raises(CaptureError, match="did not end within"):
        runner.run(run(["sleep", "60"]))
    runner.run(gone(others))


def test_a_program_is_killed_when_the_caller_is_cancelled(runner: asyncio.Runner, others: set[str]) -> None:
    async def cancelled() -> None:
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(0.1):
                await run(["sleep", "60"])

    runner.run(cancelled())
    runner.run(gone(others))


@pytest.mark.parametrize(
    ("errors", "line"),
    [
        ("Error: syntax error\n  add tabel\n", "nft -f -: Error: syntax error"),
        ("", "nft -f -: exit status 3"),
        ("# Warning: iptables-legacy tables present\niptables: No chain\n", "nft -f -: iptables: No chain"),
        (
            "Operation not permitted (you must be root)\nnetlink: Error\n",
            "nft -f -: Operation not permitted (you must be root): run as root or with CAP_NET_ADMIN",
        ),
    ],
)
def test_wording_of_failures(errors: str, line: str) -> None:
    assert failure(["nft", "-f", "-"], errors, 3) == line


def children() -> set[str]:
    """Return the processes below this one that still run."""
    found: set[str] = set()
    for thread in Path(f"/proc/{os.getpid()}/task").iterdir():
        found.update((thread / "children").read_text().split())
    return found


async def gone(others: set[str]) -> None:
    """Wait until nothing of ours runs; a program that is being started when its caller is cancelled ends a moment later."""
    async with asyncio.timeout(10):
        while not children() <= others:
            await asyncio.sleep(0.01)


@pytest.fixture
def others() -> set[str]:
    """The processes of other tests, such as a demo that a whole session uses."""
    return children()
