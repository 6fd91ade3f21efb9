"""Settings: checks with errors for people, durations, and that every field is documented."""

from __future__ import annotations

import dataclasses

import pytest

from userproxy.config import Config, settings_of
from userproxy.errors import UsageError


def test_defaults_are_valid() -> None:
    assert Config().manifests_path is None
    assert Config().data_path is None
    assert str(Config(data_dir="x/y").data_path) == "x/y"
    assert str(Config(manifests="x/y").manifests_path) == "x/y"


@pytest.mark.parametrize(
    ("values", "says"),
    [
        ({"proxy_address": "nonsense"}, "--proxy-address: 'nonsense' is not an IPv4 address"),
        ({"proxy_address": "::1"}, "is not an IPv4 address"),
        ({"proxy_address_ipv6": "10.0.0.1"}, "is not an IPv6 address"),
        ({"service_cidr": "10.96.0.1/16"}, "--service-cidr: 10.96.0.1/16 has host bits set"),
        ({"master": "localhost:8001"}, "--master: 'localhost:8001' is not a URL"),
        ({"data_dir": ""}, "--data-dir: give a directory, or :memory:"),
        ({"demo": True, "data_dir": "x"}, "leave out --demo or --data-dir"),
        ({"workers": "many"}, "--workers: 'many' is neither a number nor auto"),
        ({"max_connections": -1}, "--max-connections"),
        ({"half_close_timeout": 0}, "--half-close-timeout: must be more than 0"),
        ({"tcp_keepalive": -1}, "--tcp-keepalive"),
        ({"udp_timeout": 0}, "--udp-timeout: must be more than 0"),
        ({"udp_stream_timeout": 0}, "--udp-stream-timeout: must be more than 0"),
        ({"udp_max_flows": -1}, "--udp-max-flows: -1 is less than 0; 0 means what fits"),
        ({"eject": 1_000_000}, "--eject: 1000000 is not between 0 and 999999; give a number of failed dials"),
        ({"observe_events": 100_001}, "--observe-events: 100001 is not between 0 and 100000"),
        ({"affinity_clients": 0}, "--affinity-clients: 0 is less than 1"),
        ({"cluster_cidr": "10.0.0.0/8, x"}, "--cluster-cidr: 'x' does not appear to be"),
        ({"nodeport_addresses": "primary, 10.0.0.0/8"}, "--nodeport-addresses: primary stands alone"),
    ],
)
def test_wrong_values_are_told_in_one_line(values: dict[str, object], says: str) -> None:
    with pytest.raises(UsageError) as caught:
        Config(**values)
    assert says in str(caught.value)
    assert "\n" not in str(caught.value)


def test_every_field_is_documented_and_belongs_to_a_command() -> None:
    for field in dataclasses.fields(Config):
        assert len(field.metadata["text"]) > 20, field.name
        assert field.metadata["commands"], field.name


def test_flags() -> None:
    assert [field.name for field in settings_of("cleanup")] == [
        "config",
        "proxy_address",
        "proxy_address_ipv6",
        "log_level",
        "log_format",
    ]
