"""Our settings as fields of a file: every one has a name, and values are checked by their type."""

from __future__ import annotations

import dataclasses

import pytest

from userproxy.config import Config
from userproxy.configfile.own_fields import SETTINGS, field_name, read_value


@pytest.mark.parametrize(
    ("setting", "name"),
    [
        ("capture", "capture"),
        ("half_close_timeout", "halfCloseTimeout"),
        ("proxy_address_ipv6", "proxyAddressIPv6"),
        ("service_cidr", "serviceCIDR"),
        ("api_tls", "apiTLS"),
        ("nodeport_addresses", "nodePortAddresses"),
    ],
)
def test_names_are_spelled_as_in_kubernetes(setting: str, name: str) -> None:
    assert field_name(setting) == name


def test_every_setting_but_the_file_itself_can_stand_in_it() -> None:
    assert {field.name for field in SETTINGS.values()} == {
        field.name for field in dataclasses.fields(Config)
    } - {"config"}


@pytest.mark.parametrize(
    ("name", "value", "result"),
    [
        ("halfCloseTimeout", "5m", 300.0),
        ("halfCloseTimeout", 2.5, 2.5),
        ("sidecar", True, True),
        ("maxConnections", 5, 5),
        ("workers", 3, "3"),
        ("workers", "auto", "auto"),
        ("noEndpoints", "reject", "reject"),
        ("kubeconfig", "", ""),
        ("kubeconfig", ["a", "b"], "a,b"),
    ],
)
def test_values(name: str, value: object, result: object) -> None:
    assert read_value(SETTINGS[name], value) == result


@pytest.mark.parametrize(
    ("name", "value", "wanted"),
    [
        ("halfCloseTimeout", "soon", "a duration"),
        ("halfCloseTimeout", True, "a duration"),
        ("sidecar", "yes", "true or false"),
        ("maxConnections", "5", "a whole number"),
        ("maxConnections", True, "a whole number"),
        ("noEndpoints", "close", "one of drop, reject"),
        ("noEndpoints", ["drop"], "one of drop, reject"),
        ("kubeconfig", {}, "a text"),
        ("kubeconfig", True, "a text"),
    ],
)
def test_values_of_another_type(name: str, value: object, wanted: str) -> None:
    with pytest.raises(ValueError, match=wanted):
        read_value(SETTINGS[name], value)
