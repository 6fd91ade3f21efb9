"""`userproxy top`: Service ports with their rates, live in the terminal.

Parses, draws and reads keys. What is shown comes from the agent's `/live`; its layout is `core.top_table`'s.
"""

from __future__ import annotations

import contextlib
import os
import queue
import select
import shutil
import sys
import termios
import threading
import tty
from collections.abc import Generator
from itertools import islice
from typing import Any
from urllib.parse import urlencode

import click
import msgspec

from userproxy.admin.client import AgentClient
from userproxy.cli.options import config_options, errors_for_people
from userproxy.core.live import SORTS, LiveSnapshot
from userproxy.core.top_table import top_lines
from userproxy.errors import AgentError, UserproxyError
from userproxy.logs import colour_wanted

ORDERS = {"n": "name", "o": "open", "c": "new", "b": "bytes", "f": "failures"}
"""Keys with the order that each chooses."""
NOTE = "q quit   order: n name  o open  c new connections  b bytes  f failures   ] [ pages   p pause"

_KEY_SECONDS = 0.1
_ENTER, _LEAVE = "\x1b[?1049h\x1b[?25l", "\x1b[?25h\x1b[?1049l"


@click.command()
@click.option(
    "-n",
    "--iterations",
    type=click.IntRange(1),
    metavar="N",
    help="End after so many tables; default: 1 where standard output is no terminal.",
)
@click.option("--sort", type=click.Choice(tuple(SORTS)), default="new", show_default=True, help="Order.")
@click.option("--search", default="", metavar="TEXT", help="Only Services whose name or address holds this.")
@config_options("top")
@errors_for_people
def top(iterations: int | None, sort: str, search: str, **values: Any) -> int:
    """Show the busiest Service ports: connections, bytes, failures a second, and times to connect to endpoints.

    Keys: q ends; n, o, c, b, f choose the order; ] and [ turn pages; p pauses.

    \b
    Examples:
      userproxy top
      userproxy top --sort failures --search shop/
      userproxy top -n 2 > snapshot
    """
    client = AgentClient(values["agent"])
    if sys.stdin.isatty() and sys.stdout.isatty() and iterations is None:
        return _Screen(client, sort, search).run()
    width = shutil.get_terminal_size((120, 40)).columns if sys.stdout.isatty() else 120
    for number, snapshot in enumerate(islice(_rated(client, _path(sort, search, 0)), iterations or 1)):
        if number:
            click.echo()
        lines = top_lines(snapshot, width=width, height=None, colour=colour_wanted(sys.stdout))
        click.echo("\n".join(lines))
    return 0


def _path(sort: str, search: str, page: int) -> str:
    return f"/live?{urlencode({'sort': sort, 'search': search, 'page': page})}"


def _rated(client: AgentClient, path: str) -> Generator[LiveSnapshot, None, None]:
    """Yield snapshots that have rates, which the first one of a stream has not. Raises AgentError at its end."""
    decode = msgspec.json.Decoder(LiveSnapshot).decode
    for line in client.lines(path):
        try:
            snapshot = decode(line)
        except (msgspec.ValidationError, msgspec.DecodeError) as error:
            raise AgentError(f"the agent is of another version: {error}") from error
        if snapshot.interval:
            yield snapshot
    raise AgentError("the agent ended; nothing more can be shown")


class _Screen:
    """The terminal while `top` has it."""

    def __init__(self, client: AgentClient, sort: str, search: str) -> None:
        self._client = client
        self._sort = sort
        self._search = search
        self._page = 0
        self._paused = False
        self._snapshot: LiveSnapshot | None = None
        self._came: queue.SimpleQueue[tuple[int, LiveSnapshot | UserproxyError]] = queue.SimpleQueue()
        self._stream = 0

    def run(self) -> int:
        """Draw until q or Ctrl-C. Raises AgentError."""
        terminal = sys.stdin.fileno()
        before = termios.tcgetattr(terminal)
        self._follow()
        try:
            tty.setcbreak(terminal)
            sys.stdout.write(_ENTER)
            while not self._quit(terminal):
                self._take()
        except KeyboardInterrupt:
            pass
        finally:
            termios.tcsetattr(terminal, termios.TCSADRAIN, before)
            sys.stdout.write(_LEAVE)
            sys.stdout.flush()
        return 0

    def _follow(self) -> None:
        """Begin a new stream; the one before is no longer listened to."""
        self._stream += 1
        path = _path(self._sort, self._search, self._page)
        # Whatever the thread waits for, it does not keep the program from ending.
        threading.Thread(target=self._read, args=(self._stream, path), daemon=True).start()

    def _read(self, stream: int, path: str) -> None:
        try:
            with contextlib.closing(_rated(self._client, path)) as snapshots:
                for snapshot in snapshots:
                    if stream != self._stream:
                        return
                    self._came.put((stream, snapshot))
        except UserproxyError as error:
            self._came.put((stream, error))

    def _take(self) -> None:
        with contextlib.suppress(queue.Empty):
            while True:
                stream, came = self._came.get_nowait()
                if stream != self._stream:
                    continue
                if isinstance(came, UserproxyError):
                    raise came
                if not self._paused:
                    self._snapshot = came
                    self._page = came.page
                    self._draw()

    def _draw(self) -> None:
        if self._snapshot is None:
            return
        size = shutil.get_terminal_size()
        note = "paused   " * self._paused + NOTE
        lines = top_lines(
            self._snapshot, width=size.columns, height=size.lines, colour=colour_wanted(sys.stdout), note=note
        )
        sys.stdout.write("\x1b[H" + "\x1b[K\r\n".join(lines) + "\x1b[K\x1b[J")
        sys.stdout.flush()

    def _quit(self, terminal: int) -> bool:
        """Wait a moment for a key and obey it; True for q."""
        if not select.select([terminal], [], [], _KEY_SECONDS)[0]:
            return False
        for key in os.read(terminal, 64).decode(errors="replace"):
            if key in "qQ":
                return True
            if key == "p":
                self._paused = not self._paused
                self._draw()
            elif key in ORDERS:
                self._sort, self._page = ORDERS[key], 0
                self._follow()
            elif key in "[]":
                self._page = max(0, self._page + (1 if key == "]" else -1))
                self._follow()
        return False
