"""A snapshot as lines for a terminal: what is shown, what is cut, and what stands out."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

from msgspec import structs

from userproxy.core.live import LiveSnapshot, PortRow
from userproxy.core.rates import Rates
from userproxy.core.status import CaptureView, WorkersView
from userproxy.core.top_table import top_lines

NOON = datetime(2026, 11, 26, 12, tzinfo=UTC)
ROW = PortRow(
    namespace="default",
    service="web",
    port="http",
    protocol="TCP",
    ip_family="IPv4",
    number=80,
    address="10.96.0.1:80",
    more_addresses=0,
    verdict="carry",
    in_use=2,
    ready=1,
    terminating=0,
    unready=1,
    rates=Rates(open=7, new=3.25, received=1200, sent=5e6),
    accepted=100,
    failed=0,
    retried=0,
    bytes=0,
    p50=0.0004,
    p99=None,
    warnings=(),
)


def snapshot(*rows: PortRow, **chosen: Any) -> LiveSnapshot:
    values: dict[str, Any] = {
        "time": NOON,
        "started": NOON - timedelta(hours=2),
        "version": "1.0",
        "ready": True,
        "healthy": True,
        "waiting_for": (),
        "capture": CaptureView("redirect", "nft"),
        "workers": WorkersView(2),
        "watches": (),
        "warnings": (),
        "without_endpoints": 0,
        "interval": 1.0,
        "rates": Rates(open=7, new=12, retried=1.5),
        "accepted": 0,
        "failed": 0,
        "p50": None,
        "p99": 0.25,
        "services": 1,
        "found": 1,
        "page": 0,
        "pages": 1,
        "rows": rows,
    }
    return LiveSnapshot(**{**values, **chosen})


def lines(*rows: PortRow, width: int = 120, height: int | None = None, **chosen: Any) -> list[str]:
    return top_lines(snapshot(*rows, **chosen), width=width, height=height, colour=False)


def coloured(*rows: PortRow, **chosen: Any) -> list[str]:
    return top_lines(snapshot(*rows, **chosen), width=120, height=None, colour=True)


def test_what_is_shown() -> None:
    assert lines(ROW) == [
        "userproxy 1.0  ready  capture redirect (nft)  2 workers  up 2h00m",
        "open 7  new 12/s  in 0B/s  out 0B/s  failures 1.5/s  dial p50 - p99 250ms",
        "Services 1; Service ports without endpoints: 0",
        "SERVICE PORT"
        + " " * 27
        + "ADDRESS               ENDPOINTS   OPEN  NEW/S   IN/S  OUT/S FAIL/S    P50    P99",
        "default/web:http"
        + " " * 23
        + "10.96.0.1:80                2/4      7    3.2  1.2KB  5.0MB      0  0.4ms      -",
    ]


def test_udp_one_process_and_pages() -> None:
    udp = structs.replace(ROW, port="", protocol="UDP")
    found = lines(
        udp, workers=WorkersView(), capture=CaptureView("route"), found=120, services=400, pages=3, page=1
    )
    assert "capture route  one process" in found[0]
    assert found[2].startswith("Services 120 of 400, page 2 of 3;")
    assert found[-1].startswith("default/web/udp ")


def test_states_that_are_not_well() -> None:
    assert "NOT READY: Services listed" in lines(ready=False, waiting_for=("Services listed",))[0]
    assert "UNHEALTHY" in lines(healthy=False)[0]
    assert coloured(ready=False)[0].startswith("\x1b[31m")
    assert coloured(warnings=("look",))[3] == "\x1b[33mlook\x1b[0m"


def test_rows_that_stand_out() -> None:
    bad = structs.replace(ROW, verdict="drop")
    failing = structs.replace(ROW, rates=Rates(failed=1))
    retried = structs.replace(ROW, rates=Rates(retried=1))
    warned = structs.replace(ROW, warnings=("x",))
    styles = [line[:5] for line in coloured(bad, failing, retried, warned, ROW)[4:]]
    assert styles == ["\x1b[31m", "\x1b[31m", "\x1b[33m", "\x1b[33m", "defau"]


def test_small_terminals_and_long_names() -> None:
    long = structs.replace(ROW, service="s" * 80, address="[" + "f" * 39 + "]:80")
    for width in (20, 80, 200):
        assert all(len(line) <= width for line in lines(long, width=width))
    assert "…" in lines(long)[-1]
    many = lines(*([ROW] * 50), height=10)
    assert len(many) == 10
    noted = top_lines(snapshot(*([ROW] * 50)), width=80, height=10, colour=True, note="q quit")
    assert (len(noted), noted[-1]) == (10, "\x1b[2mq quit\x1b[0m")


def test_nothing_to_show() -> None:
    assert lines(services=0)[-1] == "no Services yet"
    assert lines(services=3, found=0)[-1] == "no Service matches"


def test_names_cannot_drive_the_terminal() -> None:
    evil = structs.replace(ROW, service="\x1b[2J")
    assert all(line.isprintable() for line in lines(evil, warnings=("\x07",)))
