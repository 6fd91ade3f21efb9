"""How one Service port balances: a method for each of its two sets of endpoints, and what both share.

Owns the choice of classes by the port's options and their change while connections run. Round robin without affinity and
ejection is nothing but its ring; everything else is put around it or in its place here.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable

from userproxy.core.affinity import Affinity, AffinityRecords, Sticky
from userproxy.core.balancer import Balancer, RoundRobin
from userproxy.core.balancer_hash import SourceHash
from userproxy.core.balancer_load import LeastConnections, OpenConnections, RandomTwo
from userproxy.core.counters import PortCounters
from userproxy.core.ejection import Ejecting, Ejection
from userproxy.model import Address, Balance, PortKey, PortOptions

_COUNTING = frozenset({Balance.LEAST_CONNECTIONS, Balance.RANDOM_TWO})


_NOTHING = RoundRobin()
"""Stands for a set without endpoints that nobody asks for, as the local one of most Service ports; never updated."""


class Balancing:
    """The balancers of one Service port: `cluster` and `local`, replaced when the options ask for other ones.

    `records` are those of the whole process; `draw` returns a random number from 0 up to, not including, 1. Whoever dials
    tells `opened`, `reached`, `failed` and `closed`, while `wants_outcomes` says so.
    """

    __slots__ = (
        "_affinity",
        "_counters",
        "_draw",
        "_ejection",
        "_key",
        "_open",
        "_records",
        "_shape",
        "cluster",
        "local",
    )

    def __init__(
        self, key: PortKey, records: AffinityRecords, counters: PortCounters, draw: Callable[[], float]
    ) -> None:
        self._key = key
        self._records = records
        self._counters = counters
        self._draw = draw
        self._shape: tuple[Balance, bool, bool] | None = None
        self._affinity: Affinity | None = None
        self._ejection: Ejection | None = None
        self._open: OpenConnections | None = None
        self.cluster: Balancer = _NOTHING
        self.local: Balancer = _NOTHING

    @property
    def wants_outcomes(self) -> bool:
        """Whether anything here depends on how dials end and connections last."""
        return self._open is not None or self._ejection is not None

    def update(
        self,
        cluster: Collection[Address],
        local: Collection[Address],
        options: PortOptions,
        start: float = 0.0,
        in_use: Callable[[], Iterable[Address]] = tuple,
    ) -> bool:
        """Replace endpoints and options; returns whether `cluster` and `local` are other objects now.

        A new ring begins at `start` of its length. `in_use` returns the endpoint of each open connection, where counts begin.
        """
        shape = (options.balance, bool(options.affinity_seconds), bool(options.eject_failures))
        begun = bool(local) and self.local is _NOTHING
        replaced = shape != self._shape
        if replaced:
            self._shape = shape
            self._share(options, in_use)
            self.cluster = self._balancer(options.balance, cluster, start)
        else:
            self.cluster.update(cluster)
        if replaced or begun:
            self.local = self._balancer(options.balance, local, start) if local else _NOTHING
        elif self.local is not _NOTHING:
            self.local.update(local)
        if self._affinity is not None:
            self._affinity.seconds = options.affinity_seconds
            self._affinity.update((*cluster, *local))
        if self._ejection is not None:
            self._ejection.set_failures(options.eject_failures)
            self._ejection.update((*cluster, *local))
        return replaced or begun

    def forget(self) -> None:
        """The Service port is gone: give back what it holds in common records."""
        self._records.forget(self._key)

    def opened(self, endpoint: Address) -> None:
        """A dial to `endpoint` begins."""
        if self._open is not None:
            self._open.opened(endpoint)

    def reached(self, endpoint: Address) -> None:
        """It was answered."""
        if self._ejection is not None:
            self._ejection.reached(endpoint)

    def failed(self, endpoint: Address, now: float) -> None:
        """It failed, and the endpoint is to blame; `closed` is told too."""
        if self._ejection is not None:
            self._ejection.failed(endpoint, now)

    def closed(self, endpoint: Address) -> None:
        """The dial failed or the connection is over."""
        if self._open is not None:
            self._open.closed(endpoint)

    def _share(self, options: PortOptions, in_use: Callable[[], Iterable[Address]]) -> None:
        """Make what both sets have in common, keeping what the options asked for before too."""
        if not options.affinity_seconds:
            self._records.forget(self._key)
            self._affinity = None
        elif self._affinity is None:
            self._affinity = self._records.port(self._key, options.affinity_seconds)
        if not options.eject_failures:
            self._ejection = None
            self._counters.ejected = 0
        elif self._ejection is None:
            self._ejection = Ejection(options.eject_failures, self._counters)
        if options.affinity_seconds or options.balance not in _COUNTING:
            self._open = None
        elif self._open is None:
            self._open = OpenConnections()
            for endpoint in in_use():
                self._open.opened(endpoint)

    def _balancer(self, balance: Balance, endpoints: Collection[Address], start: float) -> Balancer:
        turn = int(start * len(endpoints))
        chosen: Balancer
        if self._affinity is not None:
            chosen = Sticky(self._affinity, SourceHash(endpoints))
        elif self._open is None:
            chosen = SourceHash(endpoints) if balance is Balance.SOURCE_HASH else RoundRobin(endpoints, turn)
        elif balance is Balance.LEAST_CONNECTIONS:
            chosen = LeastConnections(self._open, endpoints, turn)
        else:
            chosen = RandomTwo(self._open, self._draw, endpoints)
        return chosen if self._ejection is None else Ejecting(self._ejection, chosen)
