"""Splits a watch stream into lines, with a bound on the length of one line.

Owns the bytes between network reads. Knows nothing of their meaning and does no input or output. aiohttp's own `readline`
is not used: its limit depends on the read buffer and it cannot say that a stream was cut inside a line.
"""

from __future__ import annotations

MAX_LINE_BYTES = 16 * 1024 * 1024
"""Default bound of one line; an object in etcd is at most 1.5 MiB, so a longer line comes from something broken."""


class LineTooLong(Exception):
    """A line grew past the bound. The stream cannot be used any further."""


class LineSplitter:
    """Collects chunks and gives back whole lines."""

    def __init__(self, limit: int = MAX_LINE_BYTES) -> None:
        self._limit = limit
        self._parts: list[bytes] = []
        self._held = 0

    @property
    def inside_line(self) -> bool:
        """Whether a line has begun whose end has not come: at the end of a stream it tells a cut from a clean end."""
        return self._held > 0

    def feed(self, chunk: bytes) -> list[bytes]:
        """Return the lines completed by `chunk`, without their newline; empty lines are left out.

        Raise LineTooLong as soon as a line is longer than the limit, finished or not, so that at most the limit and one chunk
        are ever held.
        """
        pieces = chunk.split(b"\n")
        lines: list[bytes] = []
        for piece in pieces[:-1]:
            line = self._finish(piece)
            if line:
                lines.append(line)
        self._hold(pieces[-1])
        return lines

    def _finish(self, piece: bytes) -> bytes:
        if not self._parts:
            if len(piece) > self._limit:
                raise LineTooLong
            return piece
        self._hold(piece)
        line = b"".join(self._parts)
        self._parts.clear()
        self._held = 0
        return line

    def _hold(self, piece: bytes) -> None:
        if piece:
            self._parts.append(piece)
            self._held += len(piece)
        if self._held > self._limit:
            raise LineTooLong
