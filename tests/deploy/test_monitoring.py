"""Alerts fire when they should and only then, each has a runbook; queries of alerts and dashboard name metrics that exist."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.deploy.dashboard import DASHBOARD, ROWS, WIDTH, queries
from tests.deploy.rendered import DEPLOY, ROOT
from userproxy.admin.metric_table import METRICS

RULES = DEPLOY / "prometheus" / "rules.yaml"
RUNBOOK = DEPLOY / "prometheus" / "runbook.md"
PROMTOOL = shutil.which("promtool") or str(Path(sys.prefix, "bin", "promtool"))
FROM_ELSEWHERE = {"up", "process_cpu_seconds_total", "process_resident_memory_bytes", "ALERTS"}
"""Prometheus' own, and those of prometheus_client's process collector."""

needs_promtool = pytest.mark.skipif(
    not Path(PROMTOOL).exists(), reason="needs promtool (python3 tests/run.py gets it)"
)


def alerts() -> list[dict[str, Any]]:
    return [rule for group in yaml.safe_load(RULES.read_text())["groups"] for rule in group["rules"]]


def metric_names(query: str) -> set[str]:
    """Return the metrics in a query: what stands before braces or alone, and is no function, keyword or label."""
    bare = re.sub(r"\{[^}]*\}|\[[^]]*\]|\b(by|on|without) \([^)]*\)", " ", query)
    words = set(re.findall(r"[a-z_A-Z]\w*(?!\w*\s*\()", bare))
    return words - {"or", "and", "unless", "sum", "count", "max", "by", "without"}


def exported() -> dict[str, tuple[str, ...]]:
    """Return the names of all series with their labels."""
    found: dict[str, tuple[str, ...]] = {}
    for metric in METRICS:
        suffixes = ("_bucket", "_sum", "_count") if metric.type == "histogram" else ("",)
        for suffix in suffixes:
            found[metric.name + suffix] = metric.labels + (("le",) if suffix == "_bucket" else ())
    return found


ALL_QUERIES = [*queries(), *(rule["expr"] for rule in alerts())]


def test_every_query_names_metrics_that_exist() -> None:
    unknown = (
        {name for query in ALL_QUERIES for name in metric_names(query)} - exported().keys() - FROM_ELSEWHERE
    )
    assert not unknown


def test_the_check_of_names_finds_a_wrong_one() -> None:
    assert metric_names('sum by (a, b) (rate(userproxy_x_total{job="$job"}[5m])) / userproxy_y > 0.05') == {
        "userproxy_x_total",
        "userproxy_y",
    }


def test_every_label_in_a_query_is_one_of_its_metric() -> None:
    """Labels that Prometheus adds are job and instance; a selector with another label would match nothing."""
    for query in ALL_QUERIES:
        for name, selector in re.findall(r"(\w+)\{([^}]*)\}", query):
            labels = set(re.findall(r"(\w+)\s*(?:=~|!~|!=|=)", selector))
            assert labels <= {"job", "instance", *exported().get(name, ())}, (name, query)


def test_panels_have_places_of_their_own() -> None:
    panels = json.loads(DASHBOARD.read_text())["panels"]
    assert len({panel["id"] for panel in panels}) == len(panels)
    taken: set[tuple[int, int]] = set()
    for panel in panels:
        place = panel["gridPos"]
        cells = {
            (x, y)
            for x in range(place["x"], place["x"] + place["w"])
            for y in range(place["y"], place["y"] + place["h"])
        }
        assert not cells & taken, panel["title"]
        assert place["x"] + place["w"] <= WIDTH
        taken |= cells
    assert len(panels) == len(ROWS) + sum(len(row) for row in ROWS.values())


def test_every_alert_has_a_section_in_the_runbook_and_a_test() -> None:
    names = [rule["alert"] for rule in alerts()]
    assert re.findall(r"^## (\w+)$", RUNBOOK.read_text(), re.MULTILINE) == names
    tested = (ROOT / "tests" / "deploy" / "rules_test.yaml").read_text()
    for rule in alerts():
        assert rule["annotations"]["runbook_url"] == f"deploy/prometheus/runbook.md#{rule['alert'].lower()}"
        assert rule["labels"]["severity"] in ("critical", "warning", "info")
        assert f'alertname="{rule["alert"]}"' in tested


def promtool(*words: str) -> None:
    done = subprocess.run([PROMTOOL, *words], check=False, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr


@needs_promtool
def test_alerts_fire_when_they_should_and_only_then(tmp_path: Path) -> None:
    promtool("check", "rules", str(RULES))
    tests = tmp_path / "tests.yaml"
    tests.write_text((ROOT / "tests" / "deploy" / "rules_test.yaml").read_text().replace("RULES", str(RULES)))
    promtool("test", "rules", str(tests))


@needs_promtool
def test_prometheus_reads_every_query_of_the_dashboard(tmp_path: Path) -> None:
    rules = [
        {"record": f"query:{number}", "expr": query.replace("$__rate_interval", "5m")}
        for number, query in enumerate(queries())
    ]
    file = tmp_path / "queries.yaml"
    file.write_text(yaml.safe_dump({"groups": [{"name": "dashboard", "rules": rules}]}))
    promtool("check", "rules", str(file))
