"""Processes of the tests that obey commands: one JSON object for each line in, one JSON answer for each line out.

Owns the wire between a test and its child, at both ends. What the commands mean is the child's own business.
"""

from __future__ import annotations

import asyncio
import json
import subprocess
import sys
from collections.abc import Awaitable, Callable, Collection
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from tests.netns import Namespace

ROOT = Path(__file__).parents[2]

Command = Callable[..., Awaitable[Any]]


class Child:
    """A module run in a namespace; ended by `close`, or with the namespace."""

    def __init__(
        self, namespace: Namespace, module: str, *arguments: str, descriptors: Collection[int] = ()
    ) -> None:
        """`descriptors` stay open in the child under the same numbers."""
        self._name = module
        self._process = namespace.start(
            sys.executable,
            "-m",
            module,
            *arguments,
            cwd=ROOT,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            pass_fds=descriptors,
        )

    def ask(self, do: str, **fields: Any) -> Any:
        """Give a command, return its answer."""
        assert self._process.stdin is not None
        self._process.stdin.write(json.dumps({"do": do, **fields}) + "\n")
        self._process.stdin.flush()
        return self.answer()

    def answer(self) -> Any:
        """Return the next line of the child."""
        assert self._process.stdout is not None
        line = self._process.stdout.readline()
        assert line, f"{self._name} has ended with status {self._process.wait(5)}"
        return json.loads(line)

    def close(self) -> None:
        """Let the child end."""
        for stream in (self._process.stdin, self._process.stdout):
            if stream is not None:
                stream.close()
        self._process.wait(10)


async def obey(commands: dict[str, Command]) -> None:
    """In the child: run commands until the standard input closes."""
    reader = asyncio.StreamReader(limit=1 << 24)
    pipe, _ = await asyncio.get_running_loop().connect_read_pipe(
        lambda: asyncio.StreamReaderProtocol(reader), sys.stdin
    )
    while line := await reader.readline():
        fields = json.loads(line)
        answer = await commands[fields.pop("do")](**fields)
        print(json.dumps(answer), flush=True)
    pipe.close()
