"""Label and field selectors of lists and watches: text in, a test on objects out.

Owns the grammar of apimachinery (`pkg/labels/selector.go`, `pkg/fields/selector.go`). Which fields may be selected is
in the table of kinds.
"""

from __future__ import annotations

import re
from collections.abc import Callable

import msgspec

from userproxy.standalone.kinds import DEFAULT_SELECTABLE, Kind
from userproxy.standalone.objects import Json, labels_of
from userproxy.standalone.resources.metadata import label_value, qualified_name
from userproxy.standalone.statuses import Refusal, bad_request

Test = Callable[[Json], bool]
LONGEST = 64 * 1024
"""Characters of a selector that are looked at, at most."""

_TOKEN = re.compile(r"\s*(==|!=|[=!(),<>]|[^\s=!(),<>]+)\s*")


class Requirement(msgspec.Struct, frozen=True):
    """One part of a label selector. `operator` is one of in, notin, exists, !, and gt, lt."""

    key: str
    operator: str
    values: frozenset[str] = frozenset()

    def holds(self, labels: dict[str, str]) -> bool:
        """Return whether labels meet the requirement; an absent label meets `notin` and `!`."""
        present = self.key in labels
        if self.operator == "exists":
            return present
        if self.operator == "!":
            return not present
        if self.operator == "in":
            return present and labels[self.key] in self.values
        if self.operator == "notin":
            return not present or labels[self.key] not in self.values
        return present and _compares(labels[self.key], self.operator, next(iter(self.values)))


def _compares(label: str, operator: str, bound: str) -> bool:
    try:
        return int(label) > int(bound) if operator == "gt" else int(label) < int(bound)
    except ValueError:
        return False


class _Tokens:
    def __init__(self, text: str) -> None:
        self._tokens = _TOKEN.findall(text[:LONGEST])
        self._next = 0

    def peek(self) -> str:
        return self._tokens[self._next] if self._next < len(self._tokens) else ""

    def take(self) -> str:
        token = self.peek()
        self._next += 1
        return token


def parse_labels(text: str) -> tuple[Requirement, ...]:
    """Parse a label selector; the empty text selects everything. Raises Refusal (400)."""
    if not text.strip():
        return ()
    tokens = _Tokens(text)
    requirements = []
    while True:
        requirements.append(_requirement(tokens))
        separator = tokens.take()
        if not separator:
            return tuple(requirements)
        if separator != ",":
            raise _unparsable(separator, "',' or 'end of string'")


def _requirement(tokens: _Tokens) -> Requirement:
    negated = tokens.peek() == "!"
    if negated:
        tokens.take()
    key = tokens.take()
    if not key or key in "=!(),<>" or key in ("==", "!="):
        raise _unparsable(key, "identifier")
    faults = qualified_name(key)
    if faults:
        raise bad_request(f'unable to parse requirement: <nil>: Invalid value: "{key}": {"; ".join(faults)}')
    if negated:
        return Requirement(key, "!")
    operator = tokens.peek()
    if operator in ("", ","):
        return Requirement(key, "exists")
    tokens.take()
    if operator in ("=", "==", "!="):
        return Requirement(key, "notin" if operator == "!=" else "in", frozenset([_value(tokens, key)]))
    if operator in ("<", ">"):
        bound = _value(tokens, key)
        if not bound.removeprefix("-").isdecimal() or len(bound) > 19:
            shown = f'unable to parse requirement: values[0][{key}]: Invalid value: "{bound}": '
            raise bad_request(shown + "for 'Gt', 'Lt' operators, the value must be an integer")
        return Requirement(key, "gt" if operator == ">" else "lt", frozenset([bound]))
    if operator in ("in", "notin"):
        return Requirement(key, operator, _values(tokens, key))
    raise _unparsable(operator, "in, notin, =, ==, !=, gt, lt")


def _value(tokens: _Tokens, key: str) -> str:
    if tokens.peek() in ("", ","):
        return ""  # `key=` asks for the empty value
    value = tokens.take()
    if value in ("==", "!=") or value in "=!()<>":
        raise _unparsable(value, "identifier")
    _check_value(value, key)
    return value


def _values(tokens: _Tokens, key: str) -> frozenset[str]:
    if (found := tokens.take()) != "(":
        raise _unparsable(found, "'('")
    values: set[str] = set()
    while True:
        value = ""
        if tokens.peek() not in (",", ")", ""):
            value = tokens.take()
            _check_value(value, key)
        values.add(value)
        found = tokens.take()
        if found == ")":
            return frozenset(values)
        if found != ",":
            raise _unparsable(found, "',' or ')'")


def _check_value(value: str, key: str) -> None:
    faults = label_value(value)
    if faults:
        shown = f'unable to parse requirement: values[0][{key}]: Invalid value: "{value}": '
        raise bad_request(shown + "; ".join(faults))


def _unparsable(found: str, expected: str) -> Refusal:
    return bad_request(f"unable to parse requirement: found '{found}', expected: {expected}")


def matches_labels(requirements: tuple[Requirement, ...], labels: dict[str, str]) -> bool:
    """Return whether labels meet every requirement."""
    return all(requirement.holds(labels) for requirement in requirements)


class FieldRequirement(msgspec.Struct, frozen=True):
    """One part of a field selector."""

    field: str
    value: str
    equal: bool


_FIELD = re.compile(r"([^=!]+)(==|!=|=)(.*)", re.DOTALL)


def parse_fields(text: str, kind: Kind) -> tuple[FieldRequirement, ...]:
    """Parse a field selector for a kind. Raises Refusal (400) for bad syntax and for fields that cannot be selected."""
    requirements = []
    for part in _split_fields(text[:LONGEST]):
        if not part:
            continue
        found = _FIELD.fullmatch(part)
        if found is None:
            raise bad_request(f"invalid selector: '{part}'; can't understand '{part}'")
        field, operator, value = found.groups()
        if field not in kind.selectable:
            raise bad_request(_unselectable(field, kind))
        requirements.append(FieldRequirement(field, _unescaped(value), operator != "!="))
    return tuple(requirements)


def named_by_fields(text: str) -> str:
    """Return the one name that a field selector allows (`metadata.name=web`), empty when it allows several or is bad."""
    for part in _split_fields(text[:LONGEST]):
        found = _FIELD.fullmatch(part)
        if found is not None and found[1] == "metadata.name" and found[2] != "!=":
            return _unescaped(found[3])
    return ""


def _split_fields(text: str) -> list[str]:
    parts, current, escaped = [], "", False
    for character in text:
        if character == "," and not escaped:
            parts.append(current)
            current = ""
            continue
        escaped = character == "\\" and not escaped
        current += character
    return [*parts, current]


def _unescaped(value: str) -> str:
    return re.sub(r"\\([\\,=])", r"\1", value)


def _unselectable(field: str, kind: Kind) -> str:
    if kind.selectable is DEFAULT_SELECTABLE:
        return f'"{field}" is not a known field selector: only "metadata.name", "metadata.namespace"'
    return f"field label not supported: {field}"


def test_for(labels: tuple[Requirement, ...], fields: tuple[FieldRequirement, ...], kind: Kind) -> Test:
    """Return the test that both selectors make together."""

    def test(item: Json) -> bool:
        for field in fields:
            if (kind.selectable[field.field](item) == field.value) != field.equal:
                return False
        return matches_labels(labels, labels_of(item))

    return test
