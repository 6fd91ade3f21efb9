"""Lines out of chunks, however these are cut, and the bound on one line."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from userproxy.kube.lines import LineSplitter, LineTooLong


@given(
    st.lists(st.binary(max_size=12).map(lambda text: text.replace(b"\n", b".")), max_size=12),
    st.lists(st.integers(1, 7)),
)
def test_any_cut_gives_the_same_lines(lines: list[bytes], cuts: list[int]) -> None:
    data = b"".join(line + b"\n" for line in lines)
    splitter = LineSplitter(limit=12)
    found: list[bytes] = []
    for size in cuts:
        found += splitter.feed(data[:size])
        data = data[size:]
    found += splitter.feed(data)
    assert found == [line for line in lines if line]
    assert not splitter.inside_line


def test_a_line_without_an_end_is_held() -> None:
    splitter = LineSplitter()
    assert splitter.feed(b"one\ntw") == [b"one"]
    assert splitter.inside_line
    assert splitter.feed(b"") == []
    assert splitter.feed(b"o\n") == [b"two"]
    assert not splitter.inside_line


@pytest.mark.parametrize(
    "chunks", [[b"x" * 11], [b"x" * 11 + b"\n"], [b"x" * 6, b"x" * 5], [b"a\n" + b"x" * 6, b"x" * 5 + b"\n"]]
)
def test_a_line_past_the_limit(chunks: list[bytes]) -> None:
    splitter = LineSplitter(limit=10)
    for chunk in chunks[:-1]:
        splitter.feed(chunk)
    with pytest.raises(LineTooLong):
        splitter.feed(chunks[-1])


def test_a_line_at_the_limit() -> None:
    splitter = LineSplitter(limit=10)
    assert splitter.feed(b"x" * 10 + b"\n" + b"y" * 4) == [b"x" * 10]
    assert splitter.feed(b"y" * 6 + b"\n") == [b"y" * 10]
