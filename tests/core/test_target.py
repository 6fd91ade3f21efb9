"""What people write for an address or a Service, and what they get wrong."""

from __future__ import annotations

import pytest

from userproxy.core.target import Target, parse_source, parse_target
from userproxy.errors import UsageError
from userproxy.model import ServiceName

WEB = ServiceName("default", "web")


@pytest.mark.parametrize(
    ("text", "target", "shown"),
    [
        ("10.96.0.10:80", Target(address="10.96.0.10", port="80", protocol="TCP"), "10.96.0.10:80/tcp"),
        ("10.96.0.10:53/udp", Target(address="10.96.0.10", port="53", protocol="UDP"), "10.96.0.10:53/udp"),
        ("10.96.0.10:053/TCP", Target(address="10.96.0.10", port="53", protocol="TCP"), "10.96.0.10:53/tcp"),
        (" 10.96.0.10 ", Target(address="10.96.0.10"), "10.96.0.10"),
        ("[fd00::0:1]:80", Target(address="fd00::1", port="80", protocol="TCP"), "[fd00::1]:80/tcp"),
        ("[fd00::1]", Target(address="fd00::1"), "fd00::1"),
        ("fd00::1", Target(address="fd00::1"), "fd00::1"),
        ("svc/web", Target(WEB), "default/web"),
        ("service/web.default", Target(WEB), "default/web"),
        (
            "svc/web.kube-system.svc.cluster.local",
            Target(ServiceName("kube-system", "web")),
            "kube-system/web",
        ),
        ("default/web:http", Target(WEB, port="http"), "default/web:http"),
        ("default/web:53/udp", Target(WEB, port="53", protocol="UDP"), "default/web:53/udp"),
        ("svc/web/tcp", Target(WEB, protocol="TCP"), "default/web/tcp"),
        ("default/udp", Target(ServiceName("default", "udp")), "default/udp"),
    ],
)
def test_ways_to_write_it(text: str, target: Target, shown: str) -> None:
    assert parse_target(text) == target
    assert str(target) == shown


NOTHING = """
    web 10.96.0.10:0 10.96.0.10:65536 10.96.0.300:80 svc/Web a/b/c [fd00::1 svc/web:http_port ../x 10.96.0.10:80/ip
"""


@pytest.mark.parametrize("text", ["", *NOTHING.split()])
def test_what_names_nothing(text: str) -> None:
    with pytest.raises(UsageError, match=r"write ADDRESS:PORT|there is no port"):
        parse_target(text)


def test_the_source_is_an_address_or_nothing() -> None:
    assert parse_source("") == ""
    assert parse_source("fd00:0::1") == "fd00::1"
    with pytest.raises(UsageError, match="--from: 'me' is not an IP address"):
        parse_source("me")
