"""The /status answer as it is written: valid JSON in pieces, equal to the view it stands for.

The derivation of Services is tested with core.status; here they are given.
"""

from __future__ import annotations

import time
from datetime import UTC, datetime, timedelta

import msgspec

import userproxy
from tests.admin.build import key, sources
from userproxy.admin.status import status_head, status_pieces
from userproxy.admin.wallclock import WallClock
from userproxy.api_objects import WatchState
from userproxy.core.counters import PortCounters
from userproxy.core.health import NodeState, ReadinessLatch, SyncHealth
from userproxy.core.status import CaptureView, ConnectionTotals, ServiceView, StatusView
from userproxy.model import Probe


def test_the_head_says_how_the_proxy_is() -> None:
    health = SyncHealth()
    health.node = NodeState.LEAVING
    capture = CaptureView("route", "", 2, (Probe("redirect", False, "nft is not installed"),))
    now = time.monotonic()
    head = status_head(
        sources(
            started=now - 100.0,
            health=health.verdict,
            readiness=ReadinessLatch().reasons,
            capture=lambda: capture,
            watches=lambda: (
                WatchState("services", True, False, now - 5.0, 3, (("eof", 1),), 0, 0, "refused"),
            ),
            counters=lambda: [
                (key("a"), PortCounters(accepted=3, active=1)),
                (key("b"), PortCounters(accepted=4)),
            ],
            warnings=lambda: ("out of descriptors",),
        ),
        WallClock(),
    )
    assert head.versions["userproxy"] == userproxy.__version__
    assert timedelta(seconds=99) < head.now - head.started < timedelta(seconds=110)
    assert abs(head.now - datetime.now(UTC)) < timedelta(seconds=5)
    assert (head.healthy, head.node_eligible, head.ready) == (True, False, False)
    assert [reason.partition(":")[0] for reason in head.waiting_for] == ["listed", "captured", "listening"]
    assert head.capture == capture
    (watch,) = head.watches
    assert watch.last_event_age is not None
    assert 5.0 <= watch.last_event_age < 15.0
    assert watch.last_error == "refused"
    assert head.connections == ConnectionTotals(active=1, accepted=7)
    assert head.warnings == ("out of descriptors",)
    assert head.services == ()


def test_without_services_it_is_one_piece() -> None:
    (piece,) = status_pieces(sources(), WallClock())
    view = msgspec.json.decode(piece, type=StatusView)
    assert view.services == ()
    assert view.ready


def test_many_services_come_in_pieces_that_join_to_the_view() -> None:
    services = [ServiceView("default", f"service-{n}", (), ("long warning " * 20,)) for n in range(500)]
    pieces = list(status_pieces(sources(services=lambda: iter(services)), WallClock()))
    assert len(pieces) > 3
    assert max(map(len, pieces)) < 20_000
    view = msgspec.json.decode(b"".join(pieces), type=StatusView)
    assert list(view.services) == services
