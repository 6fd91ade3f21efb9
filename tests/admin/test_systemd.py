"""Notifications reach a real socket as sd_notify(3) words them, and their failure harms nothing."""

from __future__ import annotations

import logging
import socket
from collections.abc import Iterator
from pathlib import Path

import pytest

from userproxy.admin.systemd import STATUS_SECONDS, ServiceState, SystemdNotifier

RUNNING = ServiceState(ready=True, alive=True, stopping=False, status="ready: capture route")


@pytest.fixture
def systemd(tmp_path: Path) -> Iterator[socket.socket]:
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as channel:
        channel.bind(str(tmp_path / "notify"))
        channel.settimeout(10)
        yield channel


def notifier(address: str, **environ: str) -> SystemdNotifier:
    return SystemdNotifier({"NOTIFY_SOCKET": address, **environ}, pid=7)


@pytest.mark.parametrize(
    ("state", "lines"),
    [
        (RUNNING, ["STATUS=ready: capture route", "READY=1", "WATCHDOG=1"]),
        (ServiceState(False, True, False, "not ready:\n lists"), ["STATUS=not ready: lists", "WATCHDOG=1"]),
        (ServiceState(True, False, False, "late"), ["STATUS=late", "READY=1"]),
        (ServiceState(False, True, True, "draining 2"), ["STATUS=draining 2", "STOPPING=1", "WATCHDOG=1"]),
    ],
)
def test_each_datagram_is_the_whole_state(
    systemd: socket.socket, state: ServiceState, lines: list[str]
) -> None:
    notifier(systemd.getsockname()).tell(state)
    assert systemd.recv(4096).decode().split("\n") == lines


def test_an_abstract_address() -> None:
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as channel:
        channel.bind("")  # the kernel chooses an abstract name
        channel.settimeout(10)
        name = channel.getsockname().decode()
        notifier("@" + name[1:]).tell(RUNNING)
        assert b"READY=1" in channel.recv(4096)


@pytest.mark.parametrize(
    ("environ", "seconds"),
    [
        ({}, STATUS_SECONDS),
        ({"WATCHDOG_USEC": "6000000"}, 2.0),
        ({"WATCHDOG_USEC": "6000000", "WATCHDOG_PID": "7"}, 2.0),
        ({"WATCHDOG_USEC": "6000000", "WATCHDOG_PID": "8"}, STATUS_SECONDS),
        ({"WATCHDOG_USEC": "0"}, STATUS_SECONDS),
        ({"WATCHDOG_USEC": "soon"}, STATUS_SECONDS),
        ({"WATCHDOG_USEC": "600000000"}, STATUS_SECONDS),
    ],
)
def test_three_signs_of_life_in_each_period_of_the_watchdog(environ: dict[str, str], seconds: float) -> None:
    assert notifier("/run/x", **environ).interval == seconds


def test_without_systemd_nothing_is_sent() -> None:
    silent = SystemdNotifier({}, pid=7)
    assert not silent.wanted
    silent.tell(RUNNING)


def test_a_socket_that_is_gone_or_full_is_told_once_and_harms_nothing(
    tmp_path: Path, systemd: socket.socket, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.WARNING)
    lost = notifier(str(tmp_path / "missing"))
    lost.tell(RUNNING)
    lost.tell(RUNNING)
    assert [record.message for record in caplog.records] == [
        f"systemd is not told how we are (NOTIFY_SOCKET={tmp_path / 'missing'}): No such file or directory"
    ]
    full = notifier(systemd.getsockname())
    for _ in range(10_000):
        full.tell(RUNNING)
    assert len(caplog.records) == 2  # it was full, said so once, and never blocked
