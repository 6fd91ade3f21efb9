"""Annotations of a Service: known values, bad values, unknown names."""

from __future__ import annotations

import pytest

from tests.build import service
from userproxy.core.annotations import ServiceSettings, read_annotations
from userproxy.model import DEFAULT_OPTIONS, NoEndpoints


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


def test_a_bad_value_is_named_and_ignored() -> None:
    settings = read_annotations(service("web", no_endpoints="explode"))
    assert settings.no_endpoints is None
    [warning] = settings.warnings
    assert "default/web" in warning
    assert "userproxy.dev/no-endpoints='explode'" in warning


def test_an_unknown_name_is_named() -> None:
    [warning] = read_annotations(service("web", no_endpoint="drop")).warnings
    assert "userproxy.dev/no-endpoint " in warning
    assert "known: userproxy.dev/max-connections, userproxy.dev/no-endpoints" in warning
