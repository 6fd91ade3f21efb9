"""The DNS client counts what it is answered, and the servers answer."""

from __future__ import annotations

import json
import socket
import sys

import pytest

from tests.benchmarks.dns import ask
from tests.benchmarks.processes import Process
from tests.dns_messages import address_in, answer, question


def test_an_answer_is_matched_to_its_question() -> None:
    asked = question(4711, "a.example")
    assert asked[12:] == b"\x01a\x07example\x00\x00\x01\x00\x01"
    assert address_in(answer(asked, "192.0.2.7"), 4711) == "192.0.2.7"
    assert address_in(answer(asked, "192.0.2.7"), 4712) == ""


@pytest.mark.parametrize("options", [(), ("--keep",)])
def test_every_question_is_answered_and_counted(options: tuple[str, ...]) -> None:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        probe.bind(("127.0.0.1", 0))
        place = probe.getsockname()
    servers = Process(
        [sys.executable, "-m", "tests.dns_server", json.dumps([("192.0.2.1", place)])], lines=True
    )
    try:
        assert servers.answer() == {}
        [found] = ask(place, 200, 10, *options)
    finally:
        servers.stop()
    assert (found["answers"], found["lost"]) == ({"192.0.2.1": 200}, 0)
    assert found["p99_us"] >= found["p50_us"] > 0
    [refused] = ask(place, 5, 1)
    assert refused["answers"] == {"refused": 5}
