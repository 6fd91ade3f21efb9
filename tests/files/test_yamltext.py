"""YAML as JSON values with the lines of their fields; what is dangerous or ambiguous is refused."""

from __future__ import annotations

import pytest

from userproxy.files.yamltext import YamlFault, read_documents


def test_documents_and_the_lines_of_their_fields() -> None:
    first, second = read_documents("a: 1\nb:\n  c: [x, 2020-01-01]\n---\n---\nd: yes\n")
    assert first.value == {"a": 1, "b": {"c": ["x", "2020-01-01"]}}
    assert (first.line_of("a"), first.line_of("b.c"), first.line_of("b.c.d")) == (1, 3, 3)
    assert (second.value, second.line_of("d")) == ({"d": True}, 6)


def test_json_is_yaml() -> None:
    (document,) = read_documents('{"a": {"b": [1, 2.5, null]}}')
    assert document.value == {"a": {"b": [1, 2.5, None]}}


@pytest.mark.parametrize(
    ("text", "line", "says"),
    [
        ("a: 1\na: 2\n", 2, "'a' is given twice"),
        ("a: [1\nb: 2\n", 2, "expected"),
        ("a: *x\n", 1, "alias \\*x"),
        ("[" * 200, 1, "nested deeper"),
        ("a: .nan\n", 1, "cannot be used"),
        ("? [1]\n: 2\n", 1, "a key must be a plain text"),
    ],
)
def test_what_is_refused_is_named_with_its_line(text: str, line: int, says: str) -> None:
    with pytest.raises(YamlFault, match=says) as caught:
        list(read_documents(text))
    assert caught.value.line == line
