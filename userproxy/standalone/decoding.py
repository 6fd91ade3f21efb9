"""Request bodies as objects of a kind: brought into shape, with what was wrong named as a real server names it.

Owns the checks of kind, version, types and unknown fields. Values inside the types are the kind's own matter.
"""

from __future__ import annotations

from typing import Any

import msgspec

from userproxy.standalone import statuses
from userproxy.standalone.conforming import WrongType, conform, refuse_type
from userproxy.standalone.kinds import Kind, by_kind
from userproxy.standalone.objects import Json


class WriteOptions(msgspec.Struct, frozen=True):
    """How to write. `field_validation` is Strict (refuse unknown fields), Warn or Ignore.

    `duplicates` are the paths of fields that the body gave twice, of which the last counted, `dropped` those of
    fields of a protobuf body that nobody here knows. `manager` becomes the owner of
    the fields that the write changes; `force` takes them from other owners in an apply. `prepared` objects come from this
    process: in their shape, in the order of the wire but for metadata, with defaults; they are stored without a copy.
    """

    dry_run: bool = False
    field_validation: str = "Warn"
    manager: str = "userproxy"
    force: bool = False
    prepared: bool = False
    duplicates: tuple[str, ...] = ()
    dropped: tuple[str, ...] = ()


DEFAULT_WRITE = WriteOptions()


def decode(
    kind: Kind, body: Any, options: WriteOptions, *, patched: bool = False, sparse: bool = False
) -> tuple[Json, tuple[str, ...]]:
    """Bring a body into shape; returns it with warnings about unknown fields. Raises Refusal (400)."""
    if options.prepared:
        return body, ()
    if not isinstance(body, dict):
        raise _not_an_object(kind, body)
    _check_kind(kind, body)
    try:
        made = conform(body, kind.shape, sparse=sparse)
    except WrongType as fault:
        if patched:
            cause = statuses.Cause(
                "FieldValueInvalid", f"Invalid value: json: cannot unmarshal {fault}", "patch"
            )
            raise statuses.unprocessable(kind, "", [cause]) from fault
        raise refuse_type(kind.kind, kind.version, fault) from fault
    item = made.item
    item["kind"], item["apiVersion"] = kind.kind, kind.api_version
    if options.field_validation == "Ignore" or not (made.unknown or options.duplicates):
        return item, tuple(
            f'field "{path}" of the protobuf body is not known here and was dropped'
            for path in options.dropped
        )
    faults = [f'duplicate field "{path}"' for path in options.duplicates]
    faults += [f'unknown field "{path}"' for path in made.unknown]
    if options.field_validation == "Strict":
        text = f"strict decoding error: {', '.join(faults)}"
        if patched:
            cause = statuses.Cause("FieldValueInvalid", f"Invalid value: {text}", "patch")
            raise statuses.unprocessable(kind, item.get("metadata", {}).get("name", ""), [cause])
        text = f'{kind.kind} in version "{kind.version}" cannot be handled as a {kind.kind}: {text}'
        raise statuses.bad_request(text, (*options.duplicates, *made.unknown)[0])
    return item, tuple(faults)


def _not_an_object(kind: Kind, body: Any) -> statuses.Refusal:
    shown = {list: "array", str: "string", bool: "bool", type(None): "null"}.get(type(body), "number")
    text = f"the object provided is unrecognized (must be of type {kind.kind}): couldn't get version/kind; "
    return statuses.bad_request(text + f"json parse error: json: cannot unmarshal {shown} into an object")


def _check_kind(kind: Kind, body: Json) -> None:
    given, version = body.get("kind") or kind.kind, body.get("apiVersion") or kind.api_version
    if (given, version) == (kind.kind, kind.api_version):
        return
    short = str(version).rpartition("/")[2]
    what = f'no kind "{given}" is registered for version "{version}"'
    if by_kind(str(version), str(given)) is not None:
        what = f"converting ({short}.{given}) to ({kind.group or 'core'}.{kind.kind}): unknown conversion"
    raise statuses.bad_request(f'{given} in version "{short}" cannot be handled as a {kind.kind}: {what}')
