"""Port numbers for redirect listeners: outside the range of outgoing connections first."""

from __future__ import annotations

import itertools

from userproxy.dataplane import ports
from userproxy.dataplane.ports import PortNumbers, local_port_range

FIRST = ports.FIRST


def test_the_range_of_outgoing_connections_comes_last() -> None:
    order = list(PortNumbers(32768, 60999).candidates())
    outside = [number for number in order if not 32768 <= number <= 60999]
    assert order[: len(outside)] == outside
    assert len(set(order)) == len(order) == 65536 - FIRST
    assert order[0] == FIRST


def test_the_turn_goes_on_behind_the_last_one() -> None:
    numbers = PortNumbers(32768, 60999)
    assert next(numbers.candidates()) == FIRST
    assert list(itertools.islice(numbers.candidates(), 2)) == [FIRST + 1, FIRST + 2]


def test_a_range_that_covers_everything() -> None:
    assert len(list(PortNumbers(1024, 65535).candidates())) == 65536 - FIRST


def test_the_kernels_range_and_its_default(monkeypatch, tmp_path) -> None:
    low, high = local_port_range()
    assert 0 < low < high < 65536
    monkeypatch.setattr(ports, "RANGE_FILE", tmp_path / "absent")
    assert local_port_range() == (32768, 60999)
