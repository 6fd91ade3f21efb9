"""The `/status` answer: what the proxy believes right now, as JSON.

Owns putting the view together from the sources, and writing it in pieces, since 10,000 Services with their endpoints make many
megabytes. The shape of the answer is `core.status`'s.
"""

from __future__ import annotations

import platform
import time
from collections.abc import Iterator

import msgspec

import userproxy
from userproxy.admin.sources import Sources
from userproxy.admin.wallclock import WallClock
from userproxy.core.status import StatusView, connection_totals, watch_view

_PIECE_BYTES = 16_384
_END = b"]}"


def status_head(sources: Sources, clock: WallClock) -> StatusView:
    """Return the view without its Services."""
    now = time.monotonic()
    verdict = sources.health(now)
    reasons = sources.readiness()
    return StatusView(
        versions={"userproxy": userproxy.__version__, "python": platform.python_version()},
        started=clock.at(sources.started),
        now=clock.at(now),
        healthy=verdict.healthy,
        node_eligible=verdict.node_eligible,
        ready=not reasons,
        waiting_for=reasons,
        capture=sources.capture(),
        watches=tuple(watch_view(state, now) for state in sources.watches()),
        connections=connection_totals(one for key, one in sources.counters() if key.name.protocol == "TCP"),
        workers=sources.workers(),
        warnings=sources.warnings(),
    )


def status_pieces(sources: Sources, clock: WallClock) -> Iterator[bytes]:
    """Yield the JSON of the whole view in pieces of some 16 KB; a piece holds at least one Service."""
    encoder = msgspec.json.Encoder()
    # The head ends in the empty list of Services, the last field of the view: it is opened here and closed at the end.
    piece = bytearray(encoder.encode(status_head(sources, clock)).removesuffix(_END))
    separator = b""
    for service in sources.services():
        piece += separator
        piece += encoder.encode(service)
        separator = b","
        if len(piece) >= _PIECE_BYTES:
            yield bytes(piece)
            piece.clear()
    yield bytes(piece) + _END
