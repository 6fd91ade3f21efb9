"""How settings are written: times as text, and the names of flags."""

from __future__ import annotations

import pytest

from userproxy.setting import flag, parse_seconds


@pytest.mark.parametrize(
    ("text", "seconds"),
    [("90", 90), ("1.5", 1.5), ("250ms", 0.25), ("5m", 300), ("2h", 7200), ("1h30m", 5400), ("1.5s", 1.5)],
)
def test_durations(text: str, seconds: float) -> None:
    assert parse_seconds(text) == pytest.approx(seconds)


@pytest.mark.parametrize("text", ["", "x", "-5", "5 m", "5d", "m", "1h30"])
def test_what_is_no_duration(text: str) -> None:
    with pytest.raises(ValueError):
        parse_seconds(text)


def test_the_flag_of_a_field() -> None:
    assert flag("half_close_timeout") == "--half-close-timeout"
