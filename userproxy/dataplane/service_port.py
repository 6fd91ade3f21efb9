"""One Service port as a worker has it: balancers, counters, options, and the listeners that it has.

Owns what of a `Serving` is kept and how a new one is taken over. Connections, flows and listeners read it; how endpoints are
chosen is `core.balancing`.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Iterable
from functools import lru_cache
from typing import TYPE_CHECKING

from userproxy.core.affinity import AffinityRecords
from userproxy.core.balancer import Balancer
from userproxy.core.balancing import Balancing
from userproxy.core.counters import PortCounters
from userproxy.core.plan import Serving
from userproxy.core.policy import Route
from userproxy.dataplane.attempt import ShortCut
from userproxy.model import Address, PortKey, Scope

if TYPE_CHECKING:
    from userproxy.dataplane.tcp_listener import Listener


_NONE: frozenset[Address] = frozenset()
"""One for all: an empty frozenset costs 216 bytes."""


class Port:
    """What is kept for one Service port on one family."""

    __slots__ = (
        "balancer",
        "balancing",
        "counters",
        "drain_seconds",
        "generation",
        "hear_at_once",
        "key",
        "lasting",
        "limit",
        "listeners",
        "local",
        "outcomes",
        "parked",
        "proxy_protocol",
        "routes",
        "send_at_once",
        "transparent",
    )

    def __init__(self, key: PortKey, records: AffinityRecords) -> None:
        self.key = key
        self.counters = PortCounters()
        self.balancing = Balancing(key, records, self.counters, random.random)
        self.balancer: Balancer = self.balancing.cluster
        """over the endpoints of the whole cluster"""
        self.local: Balancer = self.balancing.local
        """over those of this node"""
        self.outcomes: Balancing | None = None
        """who is to be told how dials end and how long connections last; None: nobody"""
        self.routes: tuple[Route, ...] = ()
        self.drain_seconds = -1.0
        """how long connections to an endpoint that left may go on; negative: for ever"""
        self.limit = 0
        """connections open at once in this worker; 0: none of its own"""
        self.proxy_protocol = 0
        """version of the header that endpoints get in front of everything; 0: none"""
        self.transparent = False
        """endpoints see the client's own address where that is possible"""
        self.hear_at_once = ShortCut()
        """reading a client before anything else"""
        self.send_at_once = ShortCut()
        """sending that to the endpoint right after connect()"""
        self.listeners: list[Listener] = []
        self.parked: list[Listener] = []
        """listeners that rest until a connection of this port ends"""
        self.lasting = _NONE
        """endpoints that keep the UDP flows they have"""
        self.generation = 0
        """how often the endpoints were replaced"""

    def take_over(self, serving: Serving, start: float, in_use: Callable[[], Iterable[Address]]) -> bool:
        """Take over endpoints, routes and options; returns whether listeners have to look for their ring again.

        A new ring begins at `start` of its length; `in_use` returns the endpoint of each open connection.
        """
        balancing, options = self.balancing, serving.options
        changed = balancing.update(serving.cluster, serving.local, options, start, in_use)
        self.balancer, self.local = balancing.cluster, balancing.local
        self.outcomes = balancing if balancing.wants_outcomes else None
        if serving.routes != self.routes:
            self.routes = _shared(serving.routes)
            changed = True
        if self.key.name.protocol == "UDP":
            self.lasting = frozenset((*serving.cluster, *serving.local, *serving.lasting))
        self.generation += 1
        self.drain_seconds = options.drain_seconds
        self.limit = options.max_connections
        self.proxy_protocol = options.proxy_protocol
        return changed

    def route(self, scope: Scope) -> Route | None:
        """Return what listeners of `scope` do, None before it is known."""
        return next((route for route in self.routes if route.scope == scope), None)

    def full(self) -> bool:
        """Whether no further connection may be taken."""
        return self.limit > 0 and self.counters.active >= self.limit


@lru_cache(maxsize=1024)
def _shared(routes: tuple[Route, ...]) -> tuple[Route, ...]:
    """Return equal routes that others hold already: nearly all Service ports have the same."""
    return routes
