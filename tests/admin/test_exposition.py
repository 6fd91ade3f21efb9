"""Metrics text made in pieces, against what prometheus_client makes in one go.

The collectors here are small and whole; their pieces must join to the same text.
"""

from __future__ import annotations

from collections.abc import Iterable

import pytest
from prometheus_client import CollectorRegistry, Metric, ProcessCollector
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, HistogramMetricFamily
from prometheus_client.exposition import choose_encoder
from prometheus_client.registry import Collector

from userproxy.admin.exposition import Exposition

ACCEPTS = [
    "",
    "*/*",
    "text/plain;version=0.0.4",
    "text/plain;version=1.0.0;escaping=allow-utf-8",
    "application/openmetrics-text",
    "application/openmetrics-text;version=1.0.0,text/plain;version=0.0.4;q=0.5",
]


class Given(Collector):
    def __init__(self, *metrics: Metric) -> None:
        self._metrics = metrics

    def collect(self) -> Iterable[Metric]:
        return self._metrics


def counter(*services: str) -> CounterMetricFamily:
    metric = CounterMetricFamily("x", "Things \\ counted,\nnot stirred.", labels=("service",))
    for service in services:
        metric.add_metric((service,), len(service))
    return metric


def histogram() -> HistogramMetricFamily:
    metric = HistogramMetricFamily("h", "Times.", labels=("service",))
    metric.add_metric(("a",), [("0.5", 1), ("+Inf", 2)], 3.5)
    return metric


@pytest.mark.parametrize("accept", ACCEPTS)
def test_whole_families_give_prometheus_clients_text(accept: str) -> None:
    given = Given(counter('q"u\\o\n', "b"), GaugeMetricFamily("g", "One.", value=1), histogram())
    encode, content_type = choose_encoder(accept)
    exposition = Exposition(given, accept)
    assert b"".join(exposition.pieces()) == encode(given)
    assert exposition.content_type == content_type


@pytest.mark.parametrize("accept", ACCEPTS)
def test_a_family_in_parts_gives_the_text_of_the_whole(accept: str) -> None:
    gauge = GaugeMetricFamily("g", "One.", value=1)
    whole = Given(counter("a", "b", "c", "d"), gauge)
    parts = Given(counter("a"), counter("b", "c"), counter("d"), gauge)
    encode, _ = choose_encoder(accept)
    pieces = list(Exposition(parts, accept).pieces())
    assert b"".join(pieces) == encode(whole)
    assert len(pieces) == (5 if "openmetrics" in accept else 4)


def test_a_registry_is_a_collector_too() -> None:
    registry = CollectorRegistry()
    ProcessCollector(registry=registry)
    text = b"".join(Exposition(registry, "").pieces()).decode()
    assert "\nprocess_open_fds " in text


def test_nothing_collected() -> None:
    assert list(Exposition(Given(), "").pieces()) == []
    assert list(Exposition(Given(), "application/openmetrics-text").pieces()) == [b"# EOF\n"]


@pytest.mark.parametrize(
    "accept",
    [
        "application/openmetrics-text; version=x",
        "text/plain; version=1.y",
        "application/openmetrics-text; version=...",
    ],
)
def test_a_version_that_is_none_gets_the_plain_format(accept: str) -> None:
    exposition = Exposition(Given(counter("a")), accept)
    assert exposition.content_type == "text/plain; version=0.0.4; charset=utf-8"
    assert b"x_total{" in b"".join(exposition.pieces())
