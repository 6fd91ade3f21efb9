"""Metrics as text, in pieces small enough for an event loop that also carries connections.

Owns the splitting; the text itself is prometheus_client's, in the format that the scraper asks for. With 10,000 busy Service
ports one answer takes seconds of processor time, so it cannot be made in one go, nor in a thread: that would take the
interpreter lock away from the data plane for milliseconds at every system call.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator

from prometheus_client import Metric
from prometheus_client.exposition import choose_encoder
from prometheus_client.registry import Collector

_OPENMETRICS_END = b"# EOF\n"


class Exposition:
    """One answer to a scraper: its content type, and the text of a collector piece by piece."""

    def __init__(self, collector: Collector, accept: str) -> None:
        self._collector = collector
        self._encode, self.content_type = _encoder(accept)

    def pieces(self) -> Iterator[bytes]:
        """Yield the text. Each metric that the collector yields is one piece.

        A family may come as several metrics of the same name in a row; its HELP and TYPE lines are written once.
        """
        written = ""
        for metric in self._collector.collect():
            text = self._encode(_Single(metric)).removesuffix(_OPENMETRICS_END)
            yield _without_header(text) if metric.name == written else text
            written = metric.name
        if self.content_type.startswith("application/openmetrics-text"):
            yield _OPENMETRICS_END


class _Single(Collector):
    """A collector of one metric, which is all that an encoder asks of a registry."""

    def __init__(self, metric: Metric) -> None:
        self._metric = metric

    def collect(self) -> Iterable[Metric]:
        return (self._metric,)


def _encoder(accept: str) -> tuple[Callable[[Collector], bytes], str]:
    try:
        encode, content_type = choose_encoder(accept)
        encode(_Nothing())
    except (TypeError, ValueError):
        # A version that is no version ("version=x"): the library gives no default then.
        return choose_encoder("")
    return encode, content_type


class _Nothing(Collector):
    def collect(self) -> Iterable[Metric]:
        return ()


def _without_header(text: bytes) -> bytes:
    while text.startswith(b"#"):
        text = text.partition(b"\n")[2]
    return text
