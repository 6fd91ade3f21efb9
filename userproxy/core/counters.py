"""What is counted for each Service port: plain slots, written on the hot path, read by whoever exports them.

Owns the counter fields and their addition. Knows nothing of Prometheus (`admin.metrics` names and labels them).
"""

from __future__ import annotations

import enum
from dataclasses import dataclass, field

DIAL_BUCKETS: tuple[float, ...] = (0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.0)
"""Upper bounds in seconds of the dial-time histogram; the last bucket of `dial_buckets` is everything above."""


class Loss(enum.IntEnum):
    """Why a datagram was not passed on; indexes `datagrams_lost`."""

    NO_ENDPOINT = 0
    REFUSED = 1
    """an endpoint answered with ICMP port unreachable, and no other could be asked"""
    UNREACHABLE = 2
    BUFFER = 3
    """a socket buffer was full"""
    TOO_LONG = 4
    NO_SOCKET = 5
    """descriptors or port numbers ran out"""
    OTHER = 6


_NO_DIALS = [0] * (len(DIAL_BUCKETS) + 1)
_NO_LOSSES = [0] * len(Loss)


@dataclass(slots=True)
class PortCounters:
    """Counters of one Service port on one family. All but `active` and `ejected` only grow.

    A flow of a UDP port counts as a connection: `accepted` when it begins, `carried` when it is first answered, `retries` when
    it moves to another endpoint because one failed.
    """

    accepted: int = 0
    """connections taken from the kernel"""
    active: int = 0
    """connections open now"""
    carried: int = 0
    """connections that reached an endpoint"""
    failed: int = 0
    """connections that ended with RST because every dial failed or no endpoint was usable"""
    direct_refused: int = 0
    """connections to a redirect listener's own address, refused"""
    paused: int = 0
    """times that accepting rested because of a limit on connections"""
    retries: int = 0
    """dials after the first one of a connection"""
    dial_refused: int = 0
    dial_unreachable: int = 0
    dial_timeout: int = 0
    dial_other: int = 0
    ejections: int = 0
    """times that an endpoint was ejected because its dials kept failing"""
    ejected: int = 0
    """endpoints ejected now; as every worker judges for itself, a sum over workers counts each once for each worker"""
    bytes_received: int = 0
    """bytes from clients to endpoints"""
    bytes_sent: int = 0
    """bytes from endpoints to clients"""
    dial_seconds: float = 0.0
    """sum of the times of successful dials"""
    dial_buckets: list[int] = field(default_factory=_NO_DIALS.copy)
    """successful dials by time, not cumulative"""

    datagrams_received: int = 0
    """datagrams from clients"""
    datagrams_sent: int = 0
    """datagrams from endpoints that were passed to clients"""
    datagrams_lost: list[int] = field(default_factory=_NO_LOSSES.copy)
    """datagrams that were not passed on, by `Loss`"""
    flows_evicted: int = 0
    """flows that ended before their time because a new one needed the room"""

    def add(self, other: PortCounters) -> None:
        """Add the counts of `other` (of another worker, say) to these."""
        for name in self.__slots__:
            mine, theirs = getattr(self, name), getattr(other, name)
            if isinstance(mine, list):
                setattr(self, name, [a + b for a, b in zip(mine, theirs, strict=True)])
            else:
                setattr(self, name, mine + theirs)
