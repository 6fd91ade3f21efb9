"""Strategic merge patches: a merge patch that knows which lists are joined by a key, as `kubectl apply` sends them.

Owns the directives `$patch`, `$setElementOrder`, `$deleteFromPrimitiveList` and `$retainKeys`; which list has which key
stands in the shapes. Pure. Source: `apimachinery/pkg/util/strategicpatch/patch.go`.
"""

from __future__ import annotations

from typing import Any

from userproxy.standalone.objects import Json, clone
from userproxy.standalone.schema import ANY, Shape, Type
from userproxy.standalone.statuses import Refusal, bad_request

_PATCH, _RETAIN = "$patch", "$retainKeys"
_ORDER, _DELETE = "$setElementOrder/", "$deleteFromPrimitiveList/"


def strategic_patch(target: Json, patch: Any, shape: Shape) -> Json:
    """Return the target with a strategic merge patch applied; changes neither. Raises Refusal (400, 422)."""
    if not isinstance(patch, dict):
        raise bad_request("a strategic merge patch must be an object")
    return _merge(target, patch, shape)


def _merge(target: Json, patch: Json, shape: Shape) -> Json:
    directive = patch.get(_PATCH)
    if directive == "replace":
        return {key: clone(value) for key, value in patch.items() if key != _PATCH}
    if directive == "delete":
        return {}
    if directive not in (None, "merge"):
        raise bad_request(f"unknown patch type found: {str(directive)[:60]!r}")
    result = dict(target)
    if _RETAIN in patch:
        kept = _names(patch[_RETAIN], _RETAIN)
        result = {key: value for key, value in result.items() if key in kept}
    for key, value in patch.items():
        if key in (_PATCH, _RETAIN) or key.startswith((_ORDER, _DELETE)):
            continue
        field = _field(shape, key)
        if value is None:
            result.pop(key, None)
        elif isinstance(value, dict):
            former = result.get(key)
            result[key] = _merge(former if isinstance(former, dict) else {}, value, field)
        elif isinstance(value, list) and field.merge_key:
            result[key] = _merge_list(result.get(key) or [], value, field)
        else:
            result[key] = clone(value)
    _follow_list_directives(result, patch, shape)
    return result


def _field(shape: Shape, key: str) -> Shape:
    if shape.type is Type.MAP and shape.item is not None:
        return shape.item
    return shape.fields.get(key, ANY)


def _names(value: Any, directive: str) -> list[Any]:
    if not isinstance(value, list):
        raise bad_request(f"invalid patch format of {directive}: a list is needed")
    return value


def _merge_list(target: list[Any], patch: list[Any], field: Shape) -> list[Any]:
    key = field.merge_key
    if key == "-":  # a list of texts without doubles
        return target + [item for item in patch if item not in target]
    item_shape = field.item or ANY
    replaced = any(isinstance(item, dict) and item == {_PATCH: "replace"} for item in patch)
    result = [] if replaced else list(target)
    for item in patch:
        if not isinstance(item, dict):
            raise bad_request("invalid patch format: an object is needed in a list with a merge key")
        if item == {_PATCH: "replace"}:
            continue
        if item.get(key) is None:
            text = f"map: {item} does not contain declared merge key: {key}"
            raise Refusal(422, "Invalid", text[:300], {})
        places = [index for index, each in enumerate(result) if _is_keyed(each, key, item[key])]
        if item.get(_PATCH) == "delete":
            result = [each for index, each in enumerate(result) if index not in places]
        elif places:
            result[places[0]] = _merge(result[places[0]], item, item_shape)
        else:
            result.append(_merge({}, item, item_shape))
    return result


def _is_keyed(item: Any, key: str, value: Any) -> bool:
    return isinstance(item, dict) and bool(item.get(key) == value)


def _follow_list_directives(result: Json, patch: Json, shape: Shape) -> None:
    for directive, value in patch.items():
        if directive.startswith(_DELETE):
            name, unwanted = directive.removeprefix(_DELETE), _names(value, directive)
            if isinstance(result.get(name), list):
                result[name] = [item for item in result[name] if item not in unwanted]
        elif directive.startswith(_ORDER):
            name, order = directive.removeprefix(_ORDER), _names(value, directive)
            if isinstance(result.get(name), list):
                result[name] = _ordered(result[name], order, _field(shape, name).merge_key)


def _ordered(items: list[Any], order: list[Any], key: str) -> list[Any]:
    """Bring the items that the patch knows into its order; each other item stays before the one it stood before."""

    def identity(item: Any) -> Any:
        return item.get(key) if isinstance(item, dict) else item

    wanted = [identity(entry) for entry in order]
    known = sorted(
        (item for item in items if identity(item) in wanted), key=lambda item: wanted.index(identity(item))
    )
    result: list[Any] = []
    others: list[Any] = []
    queue = list(known)
    for item in items:
        if identity(item) not in wanted:
            others.append(item)
            continue
        result += others
        others = []
        result.append(queue.pop(0))
    return result + others + queue
