"""Port numbers for redirect listeners: outside the range of outgoing connections first."""

from __future__ import annotations

import itertools

from userproxy.dataplane import ports
from userproxy.dataplane.ports import PortNumbers, local_port_range


def test_the_range_of_outgoing_connections_comes_last() -> None:
    order = list(PortNumbers(32768, 60999).candidates())
    outside = [number for number in order if not 32768 <= number <= 60999]
    assert order[: len(outside)] == outside
    assert len(set(order)) == len(order) == 65536 - 20000
    assert order[0] == 20000


def test_the_turn_goes_on_behind_the_last_one() -> None:
    numbers = PortNumbers(32768, 60999)
    assert next(numbers.candidates()) == 20000
    assert list(itertools.islice(numbers.candidates(), 2)) == [20001, 20002]


def test_a_range_that_covers_everything() -> None:
    assert len(list(PortNumbers(1024, 65535).candidates())) == 65536 - 20000


def test_the_kernels_range_and_its_default(monkeypatch, tmp_path) -> None:
    low, high = local_port_range()
    assert 0 < low < high < 65536
    monkeypatch.setattr(ports, "RANGE_FILE", tmp_path / "absent")
    assert local_port_range() == (32768, 60999)
