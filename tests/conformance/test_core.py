"""Every case on the pure core; the rows of the reference page are in the test ids."""

from __future__ import annotations

import pytest

from tests.conformance.case import Case, cases
from tests.conformance.in_core import applied, outcome


@pytest.mark.parametrize("case", cases(), ids=str)
def test_flows(case: Case) -> None:
    running = applied(case)
    for flow in case.flows:
        assert outcome(running, flow) == flow.gives, flow
