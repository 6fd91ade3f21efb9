"""The bookkeeping of entries against a naive model."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from tests.capture.carry import many
from userproxy.capture.entries import HeldEntries, of_families
from userproxy.model import CaptureEntry, Family, Frontend

LISTENER = ("169.254.77.1", 5000)

entries = st.lists(
    st.builds(
        CaptureEntry,
        st.builds(Frontend, st.sampled_from(["10.0.0.1", "10.0.0.2"]), st.integers(80, 82), st.just("TCP")),
        st.tuples(st.just("169.254.77.1"), st.integers(5000, 5001)),
    ),
    unique_by=lambda entry: entry.frontend,
    max_size=4,
)


@given(st.lists(st.tuples(entries, entries), max_size=8))
def test_changes_against_a_model(steps: list[tuple[list[CaptureEntry], list[CaptureEntry]]]) -> None:
    held = HeldEntries()
    model: dict[Frontend, tuple[str, int]] = {}
    for add, remove in steps:
        before = {frontend.address for frontend in model}
        for entry in remove:
            model.pop(entry.frontend, None)
        model |= {entry.frontend: entry.listener for entry in add}
        after = {frontend.address for frontend in model}
        appeared, gone = held.change(add, remove)
        assert appeared == after - before
        assert gone >= before - after
        assert not gone & after
        assert set(held.addresses) == after
        assert held.equal(CaptureEntry(*item) for item in model.items())
        assert {entry.frontend: entry.listener for entry in held.entries()} == model


def test_an_address_is_gone_with_its_last_port() -> None:
    http, https = (CaptureEntry(Frontend("10.0.0.1", port, "TCP"), LISTENER) for port in (80, 443))
    held = HeldEntries()
    assert held.change([http, https], []) == ({"10.0.0.1"}, set())
    assert held.change([], [http]) == (set(), set())
    assert held.change([], [https]) == (set(), {"10.0.0.1"})


def test_a_moved_frontend_keeps_its_address() -> None:
    entry = CaptureEntry(Frontend("10.0.0.1", 80, "TCP"), LISTENER)
    moved = CaptureEntry(entry.frontend, ("169.254.77.1", 6000))
    held = HeldEntries()
    held.change([entry], [])
    assert held.change([moved], [entry]) == (set(), set())
    assert not held.equal([entry])
    assert held.equal([moved])


def test_replace_forgets_what_was_held() -> None:
    held = HeldEntries()
    held.replace(many(3, LISTENER))
    held.replace(many(1, LISTENER))
    assert set(held.addresses) == {"10.100.0.0"}


def test_entries_of_families() -> None:
    four = CaptureEntry(Frontend("10.0.0.1", 80, "TCP"), LISTENER)
    six = CaptureEntry(Frontend("fd00::1", 80, "TCP"), LISTENER)
    assert of_families([four, six], [Family.IPV4]) == [four]
    assert of_families([four, six], [Family.IPV4, Family.IPV6]) == [four, six]
