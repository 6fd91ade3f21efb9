"""Annotations of a Service: known values, bad values, unknown names."""

from __future__ import annotations

import pytest
from msgspec import structs

from tests.build import service
from userproxy.api_objects import ServiceSpecPort
from userproxy.core.annotations import ServiceSettings, read_annotations
from userproxy.model import DEFAULT_OPTIONS, Balance, NoEndpoints, PortOptions


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


@pytest.mark.parametrize(("value", "wanted"), [("true", True), ("false", False)])
def test_transparent(value: str, *, wanted: bool) -> None:
    for default in (True, False):
        made = service("web", transparent=value)
        settings = read_annotations(made, PortOptions(transparent=default), transparent_allowed=True)
        assert (settings.options.transparent, settings.warnings) == (wanted, ())


def test_transparent_is_named_where_it_cannot_be_had() -> None:
    settings = read_annotations(service("web", transparent="true"))
    assert not settings.options.transparent
    [warning] = settings.warnings
    assert "start userproxy with --transparent annotated" in warning
    assert read_annotations(service("web", transparent="false")).warnings == ()


def test_a_bad_value_is_named_and_ignored() -> None:
    settings = read_annotations(service("web", no_endpoints="explode"))
    assert settings.no_endpoints is None
    [warning] = settings.warnings
    assert "default/web" in warning
    assert "userproxy.dev/no-endpoints='explode'" in warning


def test_an_unknown_name_is_named() -> None:
    [warning] = read_annotations(service("web", no_endpoint="drop")).warnings
    assert "userproxy.dev/no-endpoint " in warning
    assert "known: userproxy.dev/balance, " in warning
    assert "userproxy.dev/no-endpoints" in warning


@pytest.mark.parametrize("method", list(Balance))
def test_balancing_methods(method: Balance) -> None:
    assert read_annotations(service("web", balance=method.value)).options.balance is method


@pytest.mark.parametrize(("value", "meaning"), [("0", 0), ("3", 3), ("999999", 999_999)])
def test_ejection_and_draining(value: str, meaning: int) -> None:
    assert read_annotations(service("web", eject=value)).options.eject_failures == meaning
    assert read_annotations(service("web", drain_seconds=value)).options.drain_seconds == meaning


@pytest.mark.parametrize(
    ("name", "value", "instead"),
    [
        ("balance", "roundrobin", "use `round-robin`, `least-connections`, `random-two` or `source-hash`"),
        ("balance", "", "use `round-robin`"),
        ("eject", "-1", "use a number of failed dials such as 3, or 0"),
        ("eject", "1000000", "use a number of failed dials"),
        ("drain_seconds", "30s", "use a number of seconds such as 30, or 0"),
        ("drain_seconds", "²", "use a number of seconds"),
    ],
)
def test_bad_values_keep_the_defaults(name: str, value: str, instead: str) -> None:
    defaults = PortOptions(balance=Balance.RANDOM_TWO, eject_failures=5)
    settings = read_annotations(service("web", **{name: value}), defaults)
    assert settings.options is defaults
    [warning] = settings.warnings
    assert instead in warning


def test_defaults_hold_where_a_service_says_nothing() -> None:
    defaults = PortOptions(balance=Balance.RANDOM_TWO, eject_failures=5)
    assert read_annotations(service("web"), defaults).options is defaults
    options = read_annotations(service("web", eject="0"), defaults).options
    assert options == PortOptions(balance=Balance.RANDOM_TWO, eject_failures=0)
