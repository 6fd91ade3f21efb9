"""Socket options, and the errors that a person reads."""

from __future__ import annotations

import errno
import socket

import pytest

from userproxy.dataplane.sockets import (
    SocketSettings,
    address_family,
    bound_socket,
    listen_error,
    original_destination,
    tune,
    unfilter_packets,
)
from userproxy.model import Family


def test_accepted_sockets_inherit_no_delay() -> None:
    with bound_socket("127.0.0.1", 0) as listener:
        listener.listen(5)
        listener.setblocking(True)
        with socket.create_connection(listener.getsockname()), listener.accept()[0] as sock:
            assert sock.getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY) == 1


def test_options_of_a_connection() -> None:
    with socket.socket() as sock:
        tune(sock, SocketSettings(keepalive=40, user_timeout=50))
        assert sock.getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY) == 1
        assert sock.getsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE) == 1
        assert sock.getsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPIDLE) == 40
        assert sock.getsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPINTVL) == 10
        assert sock.getsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT) == 50_000


def test_an_address_that_does_not_exist_yet_can_be_bound() -> None:
    with bound_socket("192.0.2.77", 4321) as sock:
        assert sock.getsockname() == ("192.0.2.77", 4321)


def test_a_failed_bind_leaves_no_socket() -> None:
    with bound_socket("127.0.0.1", 0) as first:
        first.listen(1)
        with pytest.raises(OSError, match="in use"):
            bound_socket(*first.getsockname())


def test_no_original_destination_without_redirect() -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        with socket.create_connection(listener.getsockname()), listener.accept()[0] as sock:
            assert original_destination(sock, Family.IPV4) in (None, listener.getsockname())
            assert original_destination(sock, Family.IPV6) is None


def test_admitting_twice_is_fine() -> None:
    with socket.socket() as sock:
        unfilter_packets(sock)


def test_families() -> None:
    assert address_family("10.0.0.1") is socket.AF_INET
    assert address_family("fd00::1") is socket.AF_INET6


def test_errors_for_people() -> None:
    text = str(listen_error("Service port a/b", "fd00::1", 80, OSError(errno.EACCES, "Permission denied")))
    assert text.startswith("Service port a/b: cannot listen on [fd00::1]:80: Permission denied; ports below")
    assert "see the error" in str(listen_error("x", "10.0.0.1", 1, OSError(errno.EIO, "odd")))
