"""The reactor: deadlines in order, a failing target harms no other, closing is safe."""

from __future__ import annotations

import asyncio
import logging
import select
import socket

import pytest

from tests.dataplane.rig import until
from userproxy.dataplane.reactor import Reactor


class Recorder:
    """A target that reads what comes, and raises when told to."""

    def __init__(self, reactor: Reactor, sock: socket.socket) -> None:
        self.reactor = reactor
        self.sock = sock
        self.got = b""
        self.aborted = False
        self.resumed = 0
        reactor.targets[sock.fileno()] = self
        reactor.epoll.register(sock.fileno(), select.EPOLLIN | select.EPOLLET)

    def on_event(self, event: int) -> None:
        self.got += self.sock.recv(100)
        if b"!" in self.got:
            raise RuntimeError("told to fail")

    def resume(self) -> None:
        self.resumed += 1
        if self.resumed < 3:
            self.reactor.ready.append(self)

    def abort(self) -> None:
        self.aborted = True
        self.reactor.targets.pop(self.sock.fileno())
        self.reactor.close_later(self.sock)


@pytest.fixture
async def reactor():
    made = Reactor()
    made.attach(asyncio.get_running_loop())
    yield made
    made.close()


async def test_a_failing_target_is_aborted_and_the_others_go_on(reactor: Reactor, caplog) -> None:
    pairs = [socket.socketpair() for _ in range(2)]
    bad, good = (Recorder(reactor, ours) for ours, _ in pairs)
    with caplog.at_level(logging.CRITICAL):
        pairs[0][1].send(b"!")
        pairs[1][1].send(b"fine")
        await until(lambda: bad.aborted and good.got == b"fine")
    await until(lambda: bad.sock.fileno() == -1)
    assert reactor.failures == 1
    for pair in pairs:
        for sock in pair:
            sock.close()


async def test_resumed_targets_get_their_turns(reactor: Reactor) -> None:
    ours, theirs = socket.socketpair()
    target = Recorder(reactor, ours)
    reactor.ready.append(target)
    theirs.send(b"x")
    await until(lambda: target.resumed == 3)
    target.abort()
    theirs.close()


async def test_deadlines_expire_in_order_and_can_be_discarded(reactor: Reactor) -> None:
    over: list[str] = []
    short = reactor.deadlines(0.05, over.append)
    long = reactor.deadlines(0.3, over.append)
    reactor.now = asyncio.get_running_loop().time()
    long.add("long")
    short.add("first")
    short.add("discarded")
    short.add("second")
    short.discard("discarded")
    short.discard("unknown")
    assert len(short) == 2
    await until(lambda: over == ["first", "second"])
    await until(lambda: over == ["first", "second", "long"])


async def test_adding_again_starts_the_time_anew(reactor: Reactor) -> None:
    over: list[str] = []
    queue = reactor.deadlines(0.2, over.append)
    reactor.now = asyncio.get_running_loop().time()
    queue.add("a")
    queue.add("b")
    reactor.now += 0.1
    queue.add("a")
    await until(lambda: bool(over))
    assert over[0] == "b"
    await until(lambda: over == ["b", "a"])
