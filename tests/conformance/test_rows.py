"""Every row is shown by a test or said to differ, and the page says the same."""

from __future__ import annotations

from pathlib import Path

from tests.conformance.rows import DIFFERS, all_rows, lines, shown

PAGE = Path(__file__).parents[2] / "deploy" / "conformance.md"


def test_every_row_is_shown_or_differs() -> None:
    assert [row for row in all_rows() if row not in shown() and row not in DIFFERS] == []


def test_no_row_is_named_that_does_not_exist() -> None:
    assert set(DIFFERS) <= set(all_rows())
    assert {row for row in shown() if not row.startswith(("1.10.", "2."))} <= set(all_rows())


def test_the_page_is_what_the_tests_show() -> None:
    assert PAGE.read_text() == "\n".join(lines()) + "\n", (
        "run: python3 -m tests.conformance.rows > deploy/conformance.md"
    )
