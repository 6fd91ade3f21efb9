"""Annotations of a Service: known values, bad values, unknown names."""

from __future__ import annotations

import pytest
from msgspec import structs

from tests.build import service
from userproxy.core.annotations import ServiceSettings, read_annotations
from userproxy.model import DEFAULT_OPTIONS, NoEndpoints, ServiceSpecPort


def test_no_annotation() -> None:
    assert read_annotations(service("web")) == ServiceSettings()


@pytest.mark.parametrize("value", ["drop", "reject"])
def test_no_endpoints(value: str) -> None:
    assert read_annotations(service("web", no_endpoints=value)).no_endpoints is NoEndpoints(value)


def test_max_connections() -> None:
    assert read_annotations(service("web", max_connections="500")).options.max_connections == 500


@pytest.mark.parametrize("value", ["0", "-1", "many", "1.5", ""])
def test_a_bad_limit_is_named_and_ignored(value: str) -> None:
    settings = read_annotations(service("web", max_connections=value))
    assert settings.options is DEFAULT_OPTIONS
    assert "use a number of connections above 0" in settings.warnings[0]


@pytest.mark.parametrize(("value", "version"), [("v1", 1), ("v2", 2)])
def test_proxy_protocol(value: str, version: int) -> None:
    settings = read_annotations(service("web", proxy_protocol=value))
    assert (settings.options.proxy_protocol, settings.warnings) == (version, ())


def test_another_version_of_the_proxy_protocol_is_named_and_ignored() -> None:
    settings = read_annotations(service("web", proxy_protocol="2"))
    assert settings.options is DEFAULT_OPTIONS
    assert "use `v1` or `v2`" in settings.warnings[0]


def test_the_proxy_protocol_does_nothing_for_a_udp_port() -> None:
    dns = service("dns", proxy_protocol="v2")
    ports = (ServiceSpecPort("dns", "UDP", 53), ServiceSpecPort("dns-tcp", "TCP", 53))
    settings = read_annotations(structs.replace(dns, ports=ports))
    assert settings.options.proxy_protocol == 2
    [warning] = settings.warnings
    assert "Service default/dns: " in warning
    assert "does nothing for the UDP port dns:" in warning


def test_a_bad_value_is_named_and_ignored() -> None:
    settings = read_annotations(service("web", no_endpoints="explode"))
    assert settings.no_endpoints is None
    [warning] = settings.warnings
    assert "default/web" in warning
    assert "userproxy.dev/no-endpoints='explode'" in warning


def test_an_unknown_name_is_named() -> None:
    [warning] = read_annotations(service("web", no_endpoint="drop")).warnings
    assert "userproxy.dev/no-endpoint " in warning
    assert "known: userproxy.dev/max-connections, userproxy.dev/no-endpoints, " in warning
