"""Messages and descriptors through a real socketpair: order, partial writes, the other side's end."""

from __future__ import annotations

import os
import socket
from collections.abc import Iterator

import pytest

from tests.build import key, serving_of
from userproxy.core.counters import PortCounters
from userproxy.core.policy import Verdict
from userproxy.dataplane.sockets import SocketSettings
from userproxy.dataplane.wire import (
    Confirm,
    Confirmed,
    Forget,
    Listen,
    Message,
    Report,
    Setup,
    Unlisten,
    Wire,
    WireClosed,
    serve,
)
from userproxy.model import ListenerSpec

SPEC = ListenerSpec(key("web", "http"), "169.254.77.1", 0, captured_only=True)
COUNTED = PortCounters(accepted=3, dial_seconds=0.25)


@pytest.fixture
def ends() -> Iterator[tuple[Wire, Wire]]:
    ours, theirs = socket.socketpair()
    one, two = Wire(ours), Wire(theirs)
    yield one, two
    one.close()
    two.close()


@pytest.mark.parametrize(
    "message",
    [
        Setup(1, 2, SocketSettings(), 300.0, 0),
        serve([serving_of(key("web"), (("10.0.0.1", 80), ("fd00::1", 81)), Verdict.CARRY)]),
        Unlisten((SPEC,)),
        Forget((key("web"), key("db"))),
        Confirm(7),
        Confirmed(7, 12),
        Report(((key("web"), COUNTED),), 5, 1),
    ],
    ids=lambda message: type(message).__name__,
)
def test_messages_arrive_as_they_were(ends: tuple[Wire, Wire], message: Message) -> None:
    ends[0].send(message)
    assert list(ends[1].receive()) == [message]


def test_descriptors_arrive_in_order(ends: tuple[Wire, Wire]) -> None:
    pipes = [os.pipe() for _ in range(3)]
    specs = tuple(ListenerSpec(key(f"s{n}"), "127.0.0.1", 0, captured_only=True) for n in range(3))
    ends[0].send(Listen(specs[:2]), [pipes[0][1], pipes[1][1]])
    ends[0].send(Confirm(1))
    ends[0].send(Listen(specs[2:]), [pipes[2][1]])
    got: list[int] = []
    for message in ends[1].receive():
        if isinstance(message, Listen):
            got += ends[1].take_descriptors(len(message.specs))
    for number, descriptor in enumerate(got):
        os.write(descriptor, b"%d" % number)
        os.close(descriptor)
    assert [os.read(read, 9) for read, _ in pipes] == [b"0", b"1", b"2"]
    for pipe in pipes:
        os.close(pipe[0])
        os.close(pipe[1])


def test_more_than_the_socket_takes_is_queued_and_flushed(ends: tuple[Wire, Wire]) -> None:
    one, two = ends
    endpoints = tuple((f"10.0.{n // 256}.{n % 256}", 80) for n in range(2000))
    read, write = os.pipe()
    sent = 0
    while not one.waiting:
        one.send(serve([serving_of(key("web"), endpoints, Verdict.CARRY)]))
        sent += 1
        assert sent < 1000
    one.send(Listen((SPEC,)), [write])
    os.close(write)  # the queued message must not depend on it
    received: list[Message] = []
    for _ in range(1000):
        received += two.receive()
        one.flush()
        if not one.waiting and len(received) > sent:
            break
    assert len(received) == sent + 1
    assert isinstance(received[-1], Listen)
    [descriptor] = two.take_descriptors(1)
    os.write(descriptor, b"x")
    os.close(descriptor)
    assert os.read(read, 1) == b"x"
    os.close(read)


def test_the_end_of_the_other_side_is_told(ends: tuple[Wire, Wire]) -> None:
    one, two = ends
    one.send(Confirm(1))
    one.close()
    received = two.receive()
    assert next(received) == Confirm(1)
    with pytest.raises(WireClosed):
        next(received)
    with pytest.raises(WireClosed):
        for _ in range(3):
            two.send(Confirm(2))


def test_descriptors_nobody_took_are_closed() -> None:
    before = set(os.listdir("/proc/self/fd"))
    ours, theirs = socket.socketpair()
    one, two = Wire(ours), Wire(theirs)
    one.send(Listen((SPEC,)), [0])
    list(two.receive())
    one.close()
    two.close()
    assert set(os.listdir("/proc/self/fd")) == before
