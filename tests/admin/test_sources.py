"""What sources hold before anything happened.

Both probes' codes exist from the start, so that a first 503 is seen as an increase.
"""

from __future__ import annotations

from tests.admin.build import sources


def test_answers_start_at_zero_for_both_codes() -> None:
    answers = sources().answers
    assert answers.healthz == {200: 0, 503: 0}
    assert answers.livez == {200: 0, 503: 0}


def test_sources_do_not_share_answers() -> None:
    one, other = sources(), sources()
    one.answers.healthz[200] += 1
    assert other.answers.healthz[200] == 0
