"""Search among Services by parts of names and beginnings of addresses."""

from __future__ import annotations

import pytest

from tests.build import service, services, slices
from tests.core.test_plan import Node
from userproxy.core.service_search import find_services


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("", ["dns", "web"]),
        ("we", ["web"]),
        ("default/d", ["dns"]),
        ("default", ["dns", "web"]),
        ("10.96.0.1", ["web"]),
        ("10.96.", ["dns", "web"]),
        ("10.96.0.20:53", ["dns"]),
        ("10.96.0.20:54", []),
        ("[fd00::7]:80", ["web"]),
        ("fd00::7", ["web"]),
        ("nothing", []),
    ],
)
def test_search(text: str, found: list[str]) -> None:
    node = Node()
    web, dns = service("web", "10.96.0.10", "fd00::7"), service("dns", "10.96.0.20", ports={"dns": 53})
    node.step(services(web, dns), slices())
    assert [one.name for one in find_services(node.table, node.running, text)] == found
