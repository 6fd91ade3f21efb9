"""Which checks are selected, and how findings are shown."""

from __future__ import annotations

import msgspec
import pytest

from userproxy.core.findings import (
    CHECKS,
    CheckReport,
    Finding,
    Outcome,
    failed,
    in_order,
    ok,
    passed,
    report,
    report_lines,
    selection,
    warning,
)
from userproxy.errors import UsageError


def test_all_checks_are_selected_unless_told_otherwise() -> None:
    assert selection((), (), pre=False) == set(CHECKS)


def test_pre_leaves_out_what_needs_an_installation() -> None:
    assert {name.partition("/")[0] for name in selection((), (), pre=True)} == {"host", "capture"}


def test_only_and_skip_take_names_and_categories() -> None:
    assert selection(["host/kernel", "agent"], ["agent/version"], pre=False) == {
        "host/kernel",
        *(name for name in CHECKS if name.startswith("agent/") and name != "agent/version"),
    }


@pytest.mark.parametrize(
    ("only", "skip", "says"),
    [
        (["hots"], [], "--only: there is no check 'hots'; use a category (host, capture, api, agent)"),
        ([], ["host/karnel"], "--skip: there is no check 'host/karnel'"),
        (["host/kernel"], ["host"], "no check is left to run"),
    ],
)
def test_wrong_words_are_named(only: list[str], skip: list[str], says: str) -> None:
    with pytest.raises(UsageError) as raised:
        selection(only, skip, pre=False)
    assert says in str(raised.value)


FINDINGS = [
    ok("host/kernel", "Linux 6.1"),
    warning("host/clock", "not synchronized", "run chrony"),
    failed("agent/running", "refused", "start it"),
]


def test_failures_count_and_warnings_do_not() -> None:
    assert not passed(FINDINGS)
    assert passed(FINDINGS[:2])


def test_order_is_that_of_the_list() -> None:
    assert in_order(FINDINGS[::-1]) == FINDINGS


def test_lines_are_grouped_with_hint_and_documentation() -> None:
    assert list(report_lines(FINDINGS, colour=False)) == [
        "host",
        "----",
        "√ kernel: Linux 6.1",
        "‼ clock: not synchronized",
        "    run chrony",
        "    see deploy/reference.md#check-host-clock",
        "",
        "agent",
        "-----",
        "× running: refused",
        "    start it",
        "    see deploy/reference.md#check-agent-running",
        "",
        "3 checks: 1 warnings, 1 failed ×",
    ]


def test_all_well_is_said() -> None:
    assert list(report_lines(FINDINGS[:1], colour=True))[-1] == "1 checks: all ok \x1b[32m√\x1b[0m"


def test_json_holds_all_of_it_and_reads_back() -> None:
    text = msgspec.json.encode(report(FINDINGS))
    read = msgspec.json.decode(text, type=CheckReport)
    assert not read.passed
    assert [one.outcome for one in read.checks] == [Outcome.OK, Outcome.WARNING, Outcome.FAILED]
    assert read.checks[2].hint == "start it"


def test_category_is_the_first_part() -> None:
    assert Finding("host/kernel", Outcome.OK, "").category == "host"
