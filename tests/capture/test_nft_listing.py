"""What nft prints, read back: from the real program, and in forms that other versions use."""

from __future__ import annotations

import json

import pytest

from tests.netns import namespace, needs_netns, needs_programs
from userproxy.capture.nft_listing import parse_listing
from userproxy.core.redirect import nft_full
from userproxy.errors import CaptureError
from userproxy.model import CaptureEntry, Family, Frontend

ENTRIES = [
    CaptureEntry(Frontend("10.96.0.1", 80, "TCP"), ("169.254.77.1", 5000)),
    CaptureEntry(Frontend("10.96.0.1", 53, "UDP"), ("169.254.77.1", 5001)),
    CaptureEntry(Frontend("fd00:96::1", 443, "TCP"), ("fd77:7573:6572::1", 5002)),
]


def element(protocol: object) -> list[object]:
    return [{"concat": ["10.96.0.1", protocol, 80]}, {"concat": ["169.254.77.1", 5000]}]


def listing(*elements: object) -> str:
    table = {"table": {"family": "ip", "name": "userproxy", "handle": 7}}
    services = {"map": {"family": "ip", "name": "services", "handle": 8, "elem": list(elements)}}
    return json.dumps({"nftables": [{"metainfo": {"version": "1.0.6"}}, table, services]})


@pytest.mark.netns
@needs_netns
@needs_programs("nft")
def test_what_was_written_is_read() -> None:
    with namespace() as alone:
        found = {}
        shapes = []
        for _ in range(2):
            alone.run("nft", "-f", "-", stdin=nft_full(ENTRIES, list(Family), forwarded=True))
            read = [
                parse_listing(alone.run("nft", "-j", "list", "table", kind, "userproxy"))
                for kind in ("ip", "ip6")
            ]
            found = read[0].elements | read[1].elements
            shapes.append([one.shape for one in read])
        assert found == {
            (e.frontend.address, e.frontend.protocol, e.frontend.port): e.listener for e in ENTRIES
        }
        assert shapes[0] == shapes[1], "handles, which differ, are no part of the shape"
        alone.run("nft", "insert", "rule", "ip", "userproxy", "output", "accept")
        changed = parse_listing(alone.run("nft", "-j", "list", "table", "ip", "userproxy"))
        assert changed.shape != shapes[0][0]
        assert changed.elements.items() <= found.items()


@pytest.mark.parametrize(("protocol", "name"), [("tcp", "TCP"), ("udp", "UDP"), (6, "TCP"), (17, "UDP")])
def test_protocols_by_name_and_by_number(protocol: object, name: str) -> None:
    assert parse_listing(listing(element(protocol))).elements == {
        ("10.96.0.1", name, 80): ("169.254.77.1", 5000)
    }


@pytest.mark.parametrize(
    "text",
    [
        "",
        "[]",
        "{}",
        '{"nftables": [[]]}',
        '{"nftables": [{}]}',
        listing(element("sctp")),
        listing("10.96.0.1"),
        listing([{"prefix": 1}, 2]),
        listing([{"elem": {"val": element("tcp")[0], "timeout": 5}}, element("tcp")[1]]),
    ],
)
def test_anything_else_is_an_error(text: str) -> None:
    with pytest.raises(CaptureError, match="nft lists our table in an unexpected form"):
        parse_listing(text)
