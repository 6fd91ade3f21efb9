"""Server-side apply: what someone wants of an object, merged into it, with conflicts where others want otherwise.

Owns the merge and the conflicts. Pure: objects and owners in, objects and owners out; storing is the registry's. Source:
structured-merge-diff `merge/update.go`, KEP-555.
"""

from __future__ import annotations

from typing import Any

from userproxy.standalone.fieldsets import (
    SELF,
    Path,
    item_step,
    shown,
    step_keys,
    without_containers,
)
from userproxy.standalone.leaves import leaves
from userproxy.standalone.objects import Json, clone
from userproxy.standalone.ownership import Owner, Writer
from userproxy.standalone.schema import ANY, Shape, Type
from userproxy.standalone.statuses import Refusal

_MISSING = object()


def apply(
    live: Json,
    wanted: Json,
    shape: Shape,
    owners: tuple[Owner, ...],
    writer: Writer,
    *,
    api_version: str,
    now: str,
    force: bool,
) -> tuple[Json, tuple[Owner, ...]]:
    """Return the object with `wanted` merged in, and the owners after it. Changes neither argument.

    What the writer applied before and now leaves out is removed, unless another owner has it too. Raises Refusal (409)
    when another owner has another value, unless `force`.
    """
    status = writer.subresource == "status"
    values = leaves(wanted, shape, status=status)
    paths = without_containers(values)
    present = leaves(live, shape, status=status)
    others = [owner for owner in owners if owner.writer != writer]
    differing = {path for path in paths if path[-1] != SELF and present.get(path, _MISSING) != values[path]}
    conflicts = [(owner, path) for owner in others for path in sorted(differing & owner.paths)]
    if conflicts and not force:
        raise _conflict(conflicts)
    own = next((owner for owner in owners if owner.writer == writer), None)
    merged = _merge(clone(live), wanted, shape)
    held = {path for owner in others for path in owner.paths}
    left = (own.paths if own else frozenset()) - paths - held
    for path in sorted(left, key=_removal_order):
        _remove(merged, path, shape)
    if own is not None and own.paths == paths:
        now = own.time
    kept = [Owner(o.writer, o.api_version, o.time, o.paths - differing) for o in others]
    return merged, (*kept, Owner(writer, api_version, now, frozenset(paths)))


def _conflict(conflicts: list[tuple[Owner, Path]]) -> Refusal:
    causes = [
        {
            "reason": "FieldManagerConflict",
            "message": f"conflict with {owner.described()}",
            "field": shown(path),
        }
        for owner, path in conflicts
    ]
    by_owner: dict[str, list[str]] = {}
    for owner, path in conflicts:
        by_owner.setdefault(owner.described(), []).append(shown(path))
    parts = []
    for name, fields in by_owner.items():
        if len(fields) == 1:
            parts.append(f"conflict with {name}: {fields[0]}")
        else:
            parts.append(f"conflicts with {name}:\n" + "\n".join(f"- {field}" for field in fields))
    count = f"{len(conflicts)} conflict" + ("s" if len(conflicts) > 1 else "")
    return Refusal(409, "Conflict", f"Apply failed with {count}: " + "\n".join(parts), {"causes": causes})


def _merge(target: Any, wanted: Any, shape: Shape) -> Any:
    if shape.atomic or wanted is None:
        return clone(wanted)
    if shape.type in (Type.STRUCT, Type.MAP) and isinstance(wanted, dict):
        result = target if isinstance(target, dict) else {}
        for name, value in wanted.items():
            field = shape.fields.get(name, ANY) if shape.type is Type.STRUCT else shape.item or ANY
            result[name] = _merge(result.get(name), value, field)
        return result
    if shape.list_keys and shape.item is not None and isinstance(wanted, list):
        return _merge_items(target if isinstance(target, list) else [], wanted, shape)
    if shape.is_set and isinstance(wanted, list):
        former = target if isinstance(target, list) else []
        return [*former, *(item for item in wanted if item not in former)]
    return clone(wanted)


def _merge_items(target: list[Any], wanted: list[Any], shape: Shape) -> list[Any]:
    result = list(target)
    places = {item_step(item, shape): index for index, item in enumerate(result)}
    for item in wanted:
        step = item_step(item, shape)
        if step in places:
            result[places[step]] = _merge(result[places[step]], item, shape.item or ANY)
        else:
            places[step] = len(result)
            result.append(clone(item))
    return result


def _removal_order(path: Path) -> tuple[Any, ...]:
    # whole list items first, as they are found by fields that go too; then what is in a map before the map
    whole_item = path[-1] == SELF and path[-2].startswith("k:")
    return (not whole_item, -len(path), path)


def _remove(item: Any, path: Path, shape: Shape) -> None:
    """Remove what a path leads to; what is not there is no fault."""
    step, rest = path[0], path[1:]
    if step.startswith("f:"):
        name = step[2:]
        if not isinstance(item, dict) or name not in item:
            return
        field = shape.fields.get(name, ANY) if shape.type is Type.STRUCT else shape.item or ANY
        if not rest or (rest == (SELF,) and not item[name]):
            item.pop(name)
        elif rest != (SELF,):
            _remove(item[name], rest, field)
    elif isinstance(item, list):
        _remove_item(item, step, rest, shape)


def _remove_item(items: list[Any], step: str, rest: Path, shape: Shape) -> None:
    for index, each in enumerate(items):
        if step.startswith("k:"):
            found = isinstance(each, dict) and step_keys(item_step(each, shape)) == step_keys(step)
        else:
            found = isinstance(each, str) and step == f'v:"{each}"'
        if not found:
            continue
        if rest in ((), (SELF,)):
            del items[index]
        elif rest[0].removeprefix("f:") not in shape.list_keys:  # an item that stays keeps its keys
            _remove(each, rest, shape.item or ANY)
        return
