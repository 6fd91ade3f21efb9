"""The bytes that benchmarks move, and the check that they arrive as they were sent.

Owns one pseudo-random pattern without a short period, so that lost, repeated or moved bytes are found. Does no input or output.
"""

from __future__ import annotations

import random

BLOCK_BYTES = 1 << 20
CHUNK_BYTES = 1 << 18
"""The longest piece that is sent or checked at once."""
OBJECT_BYTES = 16 * BLOCK_BYTES

_BLOCK = random.Random(20111107).randbytes(BLOCK_BYTES)
_REPEATED = _BLOCK + _BLOCK[:CHUNK_BYTES]
_VIEW = memoryview(_REPEATED)


def piece(offset: int) -> memoryview:
    """Return CHUNK_BYTES of the endless pattern, from `offset`."""
    start = offset % BLOCK_BYTES
    return _VIEW[start : start + CHUNK_BYTES]


def whole_object() -> bytes:
    """Return OBJECT_BYTES of the pattern, from its beginning."""
    return _BLOCK * (OBJECT_BYTES // BLOCK_BYTES)


class Checker:
    """Compares a stream with the pattern, piece by piece. `right` stays true while every byte was the expected one."""

    def __init__(self) -> None:
        self.count = 0
        self.right = True

    def feed(self, data: memoryview) -> None:
        """Check the next bytes, CHUNK_BYTES at most."""
        # startswith compares in place; slices would copy every byte once more.
        if not _REPEATED.startswith(data, self.count % BLOCK_BYTES):
            self.right = False
        self.count += len(data)
