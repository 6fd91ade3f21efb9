"""Patches: how a patch document and an object make another object.

Owns JSON merge patch (RFC 7386) and JSON patch (RFC 6902). Pure; what the result may be is decided by the registry.
"""

from __future__ import annotations

from typing import Any

from userproxy.standalone.objects import Json, clone
from userproxy.standalone.statuses import Refusal, bad_request

MOST_OPERATIONS = 10_000
"""Operations of one JSON patch, as a real server bounds them."""


def merge_patch(target: Any, patch: Any) -> Any:
    """Return the target with a JSON merge patch applied; null removes, lists are replaced. Changes neither."""
    if not isinstance(patch, dict):
        return clone(patch)
    result = dict(target) if isinstance(target, dict) else {}
    for key, value in patch.items():
        if value is None:
            result.pop(key, None)
        else:
            result[key] = merge_patch(result.get(key), value)
    return result


class _Failed(Exception):
    """An operation of a JSON patch that does not fit the object."""


def json_patch(target: Json, operations: Any) -> Any:
    """Return the target with a JSON patch applied.

    Raises Refusal: 400 for a document that is no patch, 422 for operations that do not fit (a failing `test` too).
    """
    if not isinstance(operations, list):
        kind = {dict: "object", str: "string", bool: "bool"}.get(type(operations), "number")
        raise bad_request(
            f"error decoding patch: json: cannot unmarshal {kind} into Go value of type []handlers.jsonPatchOp"
        )
    if len(operations) > MOST_OPERATIONS:
        text = f"The allowed maximum operations in a JSON patch is {MOST_OPERATIONS}, got {len(operations)}"
        raise Refusal(413, "RequestEntityTooLarge", text)
    document = clone(target)
    try:
        for operation in operations:
            document = _apply(document, operation)
    except _Failed as failed:
        text = "the server rejected our request due to an error in our request"
        raise Refusal(422, "Invalid", text, {}) from failed
    return document


def _apply(document: Any, operation: Any) -> Any:
    if not isinstance(operation, dict):
        raise bad_request("error decoding patch: an operation is not an object")
    name, path = operation.get("op"), _path(operation.get("path"))
    if name == "add":
        return _add(document, path, clone(_given(operation)))
    if name == "replace":
        _find(document, path)
        return _add(_remove(document, path), path, clone(_given(operation)))
    if name == "remove":
        return _remove(document, path)
    if name == "test":
        if _find(document, path) != _given(operation):
            raise _Failed("test failed")
        return document
    if name in ("move", "copy"):
        source = _path(operation.get("from"))
        value = clone(_find(document, source))
        if name == "move":
            if path[: len(source)] == source and path != source:
                raise _Failed("cannot move a value into itself")
            document = _remove(document, source)
        return _add(document, path, value)
    raise _Failed(f"unknown operation {name!r}")


def _given(operation: Json) -> Any:
    if "value" not in operation:
        raise _Failed("no value")
    return operation["value"]


def _path(text: Any) -> list[str]:
    if not isinstance(text, str) or (text and not text.startswith("/")):
        raise _Failed(f"no JSON pointer: {text!r}")
    return [part.replace("~1", "/").replace("~0", "~") for part in text.split("/")[1:]]


def _find(document: Any, path: list[str]) -> Any:
    for part in path:
        if isinstance(document, dict) and part in document:
            document = document[part]
        elif isinstance(document, list):
            document = document[_index(part, len(document) - 1)]
        else:
            raise _Failed(f"no {part!r}")
    return document


def _index(part: str, last: int) -> int:
    if not part.isdecimal() or (len(part) > 1 and part[0] == "0") or len(part) > 9 or int(part) > last:
        raise _Failed(f"no index {part!r}")
    return int(part)


def _add(document: Any, path: list[str], value: Any) -> Any:
    if not path:
        return value
    parent, last = _find(document, path[:-1]), path[-1]
    if isinstance(parent, dict):
        parent[last] = value
    elif isinstance(parent, list):
        parent.insert(len(parent) if last == "-" else _index(last, len(parent)), value)
    else:
        raise _Failed(f"no place for {last!r}")
    return document


def _remove(document: Any, path: list[str]) -> Any:
    if not path:
        return None
    _find(document, path)
    parent, last = _find(document, path[:-1]), path[-1]
    if isinstance(parent, dict):
        del parent[last]
    else:
        del parent[_index(last, len(parent) - 1)]
    return document
