"""The reference page says what the code says, and the README points at it."""

from __future__ import annotations

import re
from pathlib import Path

from tests.reference import ENDPOINTS, lines

ROOT = Path(__file__).parents[1]


def test_the_page_is_what_the_code_says() -> None:
    written = (ROOT / "deploy" / "reference.md").read_text()
    assert written == "\n".join(lines()) + "\n", "run: python3 -m tests.reference > deploy/reference.md"


def test_every_http_endpoint_is_listed() -> None:
    served = set()
    for module in ("health.py", "metrics.py"):
        text = (ROOT / "userproxy" / "admin" / module).read_text()
        served |= set(re.findall(r'"(/[a-zA-Z]*)"', text))
    assert served == {re.findall(r"`(/\w*)`", where)[0] for where in ENDPOINTS}


def test_the_readme_is_short_and_points_at_the_reference() -> None:
    readme = (ROOT / "README.md").read_text()
    assert "deploy/reference.md" in readme
    assert len(readme.splitlines()) < 90
