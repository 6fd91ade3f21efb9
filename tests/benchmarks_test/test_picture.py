"""The picture is well-formed and its bars are as long as the numbers say."""

from __future__ import annotations

from xml.etree import ElementTree

from tests.benchmarks.picture import COLORS, LEFT, svg
from tests.benchmarks_test.runs import run, samples


def shapes(text: str, kind: str) -> list[ElementTree.Element]:
    """The elements of one kind; fails unless the text is well-formed."""
    root = ElementTree.fromstring(text)  # noqa: S314 - made by ourselves, a moment ago
    return list(root.iter(f"{{http://www.w3.org/2000/svg}}{kind}"))


def bars(text: str, target: str) -> list[float]:
    """The lengths of a target's bars, in the order from above."""
    return [
        float(one.attrib["width"])
        for one in shapes(text, "rect")
        if one.get("fill") == COLORS[target] and float(one.attrib["x"]) == LEFT
    ]


def words(text: str) -> str:
    return "\n".join(one.text or "" for one in shapes(text, "text"))


def test_bars_are_proportional_to_ratios() -> None:
    made = svg(
        run(
            samples("close", "rate", haproxy=[1000], userproxy=[1500]),
            samples("keepalive", "rate", haproxy=[1000], userproxy=[500]),
        )
    )
    (one, other), (reference, _) = bars(made, "userproxy"), bars(made, "haproxy")
    assert abs(one - 1.5 * reference) < 0.2
    assert abs(other - 0.5 * reference) < 0.2


def test_a_long_bar_is_cut_off_but_its_number_is_there() -> None:
    made = svg(run(samples("idle", "process_bytes", haproxy=[100], userproxy=[4200], direct=[-5])))
    (cut,), (reference,) = bars(made, "userproxy"), bars(made, "haproxy")
    assert cut < 4 * reference
    assert "42.00x →" in words(made)
    assert bars(made, "direct") == [0.0]


def test_intervals_are_lines_across_the_end_of_the_bar() -> None:
    made = svg(run(samples("close", "rate", haproxy=[100] * 4, userproxy=[90, 100, 110, 120])))
    ends = {
        (float(one.attrib["x1"]), float(one.attrib["x2"]))
        for one in shapes(made, "line")
        if one.get("y1") == one.get("y2")
    }
    (end,) = (LEFT + width for width in bars(made, "userproxy"))
    assert any(low < end < high for low, high in ends)


def test_texts_are_escaped_and_say_where_it_was_measured() -> None:
    assert "A & B <C>" in words(svg(run(samples("close", "rate", haproxy=[1], userproxy=[1]))))


def test_unknown_targets_get_colours_of_their_own() -> None:
    made = svg(run(samples("close", "rate", haproxy=[1], userproxy=[1], before=[1], other=[1])))
    long = {one.get("fill") for one in shapes(made, "rect") if float(one.attrib["x"]) == LEFT}
    assert len(long) == 4
