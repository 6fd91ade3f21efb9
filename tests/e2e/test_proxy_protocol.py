"""Endpoints learn the client's address and the ClusterIP that it used, however the connection was captured."""

from __future__ import annotations

import socket

import pytest

from tests.e2e.cluster import CLUSTER_IP, PORT
from tests.e2e.scene import SERVICE, needs_all, scene
from tests.netns import pod_address
from tests.proxy_header import parse

pytestmark = needs_all


@pytest.mark.parametrize(("capture", "version"), [("redirect-nft", 1), ("route", 2)])
def test_the_header_names_the_pod_and_the_cluster_ip(capture: str, version: int) -> None:
    with scene() as made:
        made.cluster.put_service(SERVICE, annotations={"userproxy.dev/proxy-protocol": f"v{version}"})
        with made.agent("--capture", capture):
            with made.net.pod.entered():
                sock = socket.create_connection((CLUSTER_IP, PORT), timeout=10)
            with sock:
                own = sock.getsockname()
                sock.sendall(b"hello")
                sock.shutdown(socket.SHUT_WR)
                with sock.makefile("rb") as answer:
                    greeting, echoed = answer.readline(), answer.read()
    assert greeting in (b"a\n", b"b\n", b"c\n")
    assert own[0] == pod_address(0)
    assert parse(echoed) == (version, own, (CLUSTER_IP, PORT), b"hello")
