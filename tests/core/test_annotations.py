"""Annotations of a Service: known values, bad values, unknown names."""

from __future__ import annotations

import pytest

from tests.build import service
from userproxy.core.annotations import ServiceSettings, read_annotations
from userproxy.model import NoEndpoints


def test_no_annotation() -> None:
    assert read_annotations(service("web")) == ServiceSettings()


@pytest.mark.parametrize("value", ["drop", "reject"])
def test_no_endpoints(value: str) -> None:
    assert read_annotations(service("web", no_endpoints=value)).no_endpoints is NoEndpoints(value)


def test_a_bad_value_is_named_and_ignored() -> None:
    settings = read_annotations(service("web", no_endpoints="explode"))
    assert settings.no_endpoints is None
    [warning] = settings.warnings
    assert "default/web" in warning
    assert "userproxy.dev/no-endpoints='explode'" in warning


def test_an_unknown_name_is_named() -> None:
    [warning] = read_annotations(service("web", no_endpoint="drop")).warnings
    assert "userproxy.dev/no-endpoint " in warning
    assert "known: userproxy.dev/no-endpoints" in warning
