"""The rule and the route that deliver marked packets here: as `ip` shows them, once however often they are asked for."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.netns import Namespace, namespace, needs_netns
from userproxy.capture.policy_routing import install, remove
from userproxy.model import Family

pytestmark = [pytest.mark.netns, needs_netns]


@pytest.fixture
def alone() -> Iterator[Namespace]:
    with namespace() as made, made.entered():
        yield made


@pytest.mark.parametrize(("family", "option"), [(Family.IPV4, "-4"), (Family.IPV6, "-6")])
def test_rule_and_route(alone: Namespace, family: Family, option: str) -> None:
    before = alone.state()
    assert install([family]) is True
    assert install([family]) is False
    rules = alone.run("ip", option, "rule", "show", "priority", "77").split("\n")
    assert rules[0].split()[:7] == ["77:", "from", "all", "fwmark", "0x1000/0x1000", "lookup", "7077"]
    assert rules[1:] == [""]
    assert "local default dev lo proto 77" in alone.run("ip", option, "route", "show", "table", "7077")
    alone.run("ip", option, "rule", "del", "priority", "77")
    assert install([family]) is True
    assert len(remove([family])) == 3
    assert alone.state() == before
    assert remove([family]) == []
