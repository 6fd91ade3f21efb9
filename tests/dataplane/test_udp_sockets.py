"""Sockets that share a port with each other and with nobody else."""

from __future__ import annotations

import errno
import socket

import pytest

from tests.dataplane.udp_rig import HOSTS, client, datagram_socket
from userproxy.dataplane.udp_sockets import RECEIVE_BUFFER, close_all, connected, datagram_sockets, refuse
from userproxy.model import Family


@pytest.mark.parametrize("family", Family)
def test_a_port_is_shared_only_with_our_own_sockets(family: Family) -> None:
    with datagram_socket(HOSTS[family]) as probe:
        probe.bind((HOSTS[family], 0))
        place = probe.getsockname()[:2]
        with pytest.raises(OSError, match="Address already in use"):
            datagram_sockets(*place, 2, ())
    made = datagram_sockets(*place, 2, ())
    try:
        with datagram_socket(HOSTS[family]) as other:
            other.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            with pytest.raises(OSError, match="Address already in use"):
                other.bind(place)
        # A second proxy on the host does not get in silently, although it shares ports among its own workers.
        with pytest.raises(OSError, match="Address already in use"):
            datagram_sockets(*place, 2, ())
        made += datagram_sockets(*place, 1, (), shared=True)
    finally:
        close_all(made)


@pytest.mark.parametrize("family", Family)
def test_a_socket_that_refuses_holds_the_port(family: Family) -> None:
    [sock] = datagram_sockets(HOSTS[family], 0, 1, ())
    with sock:
        refuse(sock)
        place = sock.getsockname()[:2]
        with client(place) as one:
            one.send(b"x")
            assert one.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR) == errno.ECONNREFUSED
        with pytest.raises(OSError, match="Address already in use"):
            datagram_sockets(*place, 1, ())


def test_a_busy_worker_does_not_lose_what_waits() -> None:
    [sock] = datagram_sockets("127.0.0.1", 0, 1, ())
    with sock:
        # The kernel doubles what was asked for; without CAP_NET_ADMIN net.core.rmem_max is the limit.
        size = sock.getsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF)
        assert size == 2 * RECEIVE_BUFFER or size > 200_000


def test_an_endpoint_that_cannot_be_reached_is_told_at_once() -> None:
    with pytest.raises(OSError, match=r"Permission denied|unreachable"):
        connected(("255.255.255.255", 53))
