"""The table, the JSON file and the comparison of two of them."""

from __future__ import annotations

import json

import pytest

from tests.benchmarks.compare import comparison
from tests.benchmarks.metrics import Sample
from tests.benchmarks.report import from_json, markdown, number, to_json
from tests.benchmarks_test.runs import run, samples


def test_the_table_has_a_row_for_each_metric_and_a_column_for_each_target() -> None:
    made = run(
        samples("close", "rate", direct=[20000, 22000], haproxy=[10000, 11000], userproxy=[11000, 12100]),
        samples("churn", "rate", haproxy=[9000, 9000], userproxy=[9900, 9900]),
    )
    rows = [line for line in markdown(made).splitlines() if line.startswith("|")]
    assert rows[0] == "| workload | | direct | haproxy | userproxy |"
    assert rows[2] == (
        "| close | new connections, /s ↑ | 21,000 (**2.00x**, 2.00-2.00) | 10,500 | 11,550 (**1.10x**, 1.10-1.10) |"
    )
    assert rows[3].startswith("| churn | new connections while endpoints change, /s ↑ | - | 9,000 |")


def test_one_round_has_no_interval() -> None:
    made = run(samples("close", "rate", haproxy=[100], userproxy=[90]))
    assert "90.0 (**0.90x**) |" in markdown(made)


def test_faults_and_disturbances_are_named_below_the_table() -> None:
    made = run(
        [
            Sample(0, "bulk-up", "userproxy", {"rate": 1.0, "wrong": 2, "stolen": 0.5}),
            Sample(0, "bulk-up", "haproxy", {"rate": 1.0, "wrong": 0, "stolen": 0.0}),
        ],
        background_cores_busy=1.4,
    )
    text = markdown(made)
    assert "**userproxy, bulk-up: 2 transfers with wrong bytes.**" in text
    assert "1.4 cores were busy before" in text
    assert "took away CPU time during 1 of 2 samples" in text


def test_a_clean_run_is_not_accused_of_anything() -> None:
    text = markdown(run(samples("close", "rate", haproxy=[100], userproxy=[90])))
    assert "wrong" not in text
    assert "not quiet" not in text
    assert "took away" not in text


def test_the_file_keeps_every_sample() -> None:
    made = run(samples("close", "rate", haproxy=[100, 120], userproxy=[90, 130]))
    again = from_json(to_json(made))
    assert again == made
    assert {entry["target"]: entry["ratio"] for entry in json.loads(to_json(made))["results"]} == {
        "haproxy": 1.0,
        "userproxy": pytest.approx((0.9 + 130 / 120) / 2),
    }


@pytest.mark.parametrize("text", ["{}", "[]", '{"format": 99}', "no json"])
def test_another_file_is_refused(text: str) -> None:
    with pytest.raises(ValueError):
        from_json(text)


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (12345.6, "12,346"),
        (99.94, "99.9"),
        (1.234, "1.23"),
        (0.01234, "0.0123"),
        (0.0, "0"),
        (-250.0, "-250"),
    ],
)
def test_numbers_keep_three_digits(value: float, text: str) -> None:
    assert number(value) == text


def test_a_comparison_says_better_or_worse_only_beyond_doubt() -> None:
    before = run(
        samples("close", "rate", haproxy=[100] * 3, userproxy=[90, 91, 92]),
        samples("keepalive", "rate", haproxy=[100] * 3, userproxy=[90, 100, 110]),
        samples("latency", "p99_us", haproxy=[100] * 3, userproxy=[100, 101, 102]),
    )
    after = run(
        samples("close", "rate", haproxy=[50] * 3, userproxy=[55, 56, 57]),
        samples("keepalive", "rate", haproxy=[100] * 3, userproxy=[95, 105, 115]),
        samples("latency", "p99_us", haproxy=[100] * 3, userproxy=[140, 141, 142]),
    )
    rows = [line for line in comparison(before, after).splitlines() if "userproxy" in line]
    assert [row.split("|")[-2].strip() for row in rows] == ["better", "", "worse"]
    assert "| 0.910 | 1.120 | +23.1% |" in rows[0]


def test_a_comparison_leaves_out_what_only_one_run_has() -> None:
    before = run(samples("close", "rate", haproxy=[100], userproxy=[90]))
    after = run(samples("keepalive", "rate", haproxy=[100], userproxy=[90]))
    assert "userproxy" not in comparison(before, after)
