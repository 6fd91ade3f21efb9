"""The table of metrics keeps to Prometheus' conventions; that it equals what is exposed is test_exporter's."""

from __future__ import annotations

from userproxy.admin.metric_table import METRICS


def test_names_follow_the_conventions() -> None:
    assert len({spec.name for spec in METRICS}) == len(METRICS)
    for spec in METRICS:
        assert spec.name.startswith(("userproxy_", "kubeproxy_"))
        assert spec.name.endswith("_total") == (spec.type == "counter")
        assert spec.name.endswith("_info") == (spec.type == "info")
        assert spec.help.endswith(".")
