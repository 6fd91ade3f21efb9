"""Changes of endpoints arrive in time: new connections follow within 200 ms of the write, open ones go on untouched."""

from __future__ import annotations

import socket
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager

import pytest

from tests.e2e.client import ask
from tests.e2e.cluster import Endpoint, endpoint
from tests.e2e.scene import FRONTEND, SERVICE, Scene, needs_all, scene

pytestmark = needs_all

IN_TIME = 0.2
"""Seconds from the beginning of the write to the API server."""
ROUNDS = 10
TRIES = 3

Write = Callable[[Scene], None]


def _listed(b: Endpoint | None) -> Write:
    """The slice holds a and c, and b as given."""

    def write(made: Scene) -> None:
        others = [endpoint(made.addresses[name]) for name in "ac"]
        made.cluster.put_slice(SERVICE, *others, *([b] if b else []))

    return write


def _b(**conditions: bool) -> Write:
    return lambda made: _listed(endpoint(made.addresses["b"], **conditions))(made)


READY = _b()
LEAVING: dict[str, Write] = {
    "unready": _b(ready=False, serving=False),
    "terminating": _b(ready=False, serving=True, terminating=True),
    "deleted": _listed(None),
}


@pytest.mark.parametrize("capture", ["redirect-nft", "route"])
def test_new_connections_follow_and_open_ones_go_on(capture: str) -> None:
    with (
        scene() as made,
        made.agent("--capture", capture, "--workers", "1"),
        _open_connections(made) as open_ones,
    ):
        for leave in LEAVING.values():
            _in_time(made, leave, {"a": ROUNDS, "c": ROUNDS}, undo=READY)
            _all_echo(open_ones)
            _in_time(made, READY, {"a": ROUNDS, "b": ROUNDS, "c": ROUNDS}, undo=leave)
            _all_echo(open_ones)


def test_the_last_ready_endpoint_goes_and_a_terminating_one_serves_on() -> None:
    """While nothing is ready, endpoints that are serving and terminating are used (KEP-1669)."""

    def all_terminating(made: Scene) -> None:
        leaving = {"ready": False, "terminating": True}
        entries = [endpoint(made.addresses[name], serving=name != "c", **leaving) for name in "abc"]
        made.cluster.put_slice(SERVICE, *entries)

    with scene() as made, made.agent("--workers", "1"), _open_connections(made) as open_ones:
        _in_time(made, all_terminating, {"a": ROUNDS, "b": ROUNDS}, undo=READY)
        _all_echo(open_ones)


def _in_time(made: Scene, change: Write, expected: dict[str, int], *, undo: Write) -> None:
    """Make the change and connect as soon as it has to be in effect; a loaded machine gets more tries."""
    found: list[dict[str, int]] = []
    for _ in range(TRIES):
        began = time.monotonic()
        change(made)
        time.sleep(max(0.0, began + IN_TIME - time.monotonic()))
        found.append(_answers(made, sum(expected.values())))
        if found[-1] == expected:
            return
        undo(made)
        time.sleep(1)
    raise AssertionError(f"new connections went to {found}, not to {expected}")


def _answers(made: Scene, count: int) -> dict[str, int]:
    with made.net.pod.entered():
        names = [ask(*FRONTEND) for _ in range(count)]
    return {name: names.count(name) for name in sorted(set(names))}


@contextmanager
def _open_connections(made: Scene) -> Iterator[list[socket.socket]]:
    """One open connection to each endpoint."""
    with ExitStack() as stack:
        with made.net.pod.entered():
            made_here = [stack.enter_context(socket.create_connection(FRONTEND, timeout=5)) for _ in "abc"]
        assert sorted(sock.recv(10) for sock in made_here) == [b"a\n", b"b\n", b"c\n"]
        yield made_here


def _all_echo(open_ones: list[socket.socket]) -> None:
    for sock in open_ones:
        sock.sendall(b"still there?")
        assert sock.recv(100) == b"still there?"
