"""Writes every file under deploy/ that is made from others: python3 -m tests.deploy.generate

Owns the list of them; a test keeps each equal to what is made here.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from tests.deploy.chart import CHART, LIVE, SCHEMA, live_text, schema_text
from tests.deploy.dashboard import DASHBOARD, dashboard_text
from tests.deploy.man_pages import completions, man_pages
from tests.deploy.rendered import DEPLOY, MANIFEST, manifest_text

GENERATED: dict[Path, Callable[[], str]] = {
    MANIFEST: manifest_text,
    SCHEMA: schema_text,
    LIVE: live_text,
    DASHBOARD: dashboard_text,
    CHART / "files" / "dashboard.json": dashboard_text,
    CHART / "files" / "rules.yaml": (DEPLOY / "prometheus" / "rules.yaml").read_text,
    **man_pages(),
    **completions(),
}
"""Each file with what makes its text."""

if __name__ == "__main__":
    for path, text in GENERATED.items():
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text())
        print(path)
