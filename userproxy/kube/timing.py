"""Every time that the watches keep to, as one value, so that tests can make them short.

Owns numbers only.
"""

from __future__ import annotations

import msgspec


class WatchTiming(msgspec.Struct, frozen=True):
    """All in seconds."""

    connect: float = 10.0
    """For a TCP connection to the API server."""

    read: float = 90.0
    """Longest silence on a watch; bookmarks come about each minute, so more means that the stream is dead."""

    initial_silence: float = 10.0
    """Longest silence inside a streaming list; a server that does not know it falls silent without marking the end."""

    initial_total: float = 60.0
    """Longest streaming list before a plain list is asked for instead."""

    server_shortest: float = 300.0
    """With `server_longest`: the range from which the server is told when to end a watch (client-go: 5 to 10 minutes)."""

    server_longest: float = 600.0

    short_watch: float = 1.0
    """A watch that ends sooner counts as a failure, else a broken server would be asked in a tight loop."""

    first_delay: float = 0.8
    """Pause after the first failure; see `kube.backoff`."""

    longest_delay: float = 30.0

    healthy_after: float = 120.0
    """A watch that worked for so long begins again with `first_delay`."""
