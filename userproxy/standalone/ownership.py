"""Who manages which fields of an object: `metadata.managedFields`, read, kept in step with writes, written.

Owns the bookkeeping of all writes that are no server-side apply: who changes a field becomes its only owner. Source:
structured-merge-diff `merge/update.go`, apimachinery `managedfields`.
"""

from __future__ import annotations

from collections.abc import Iterable

import msgspec

from userproxy.standalone.fieldsets import Path, from_fields_v1, to_fields_v1, without_containers
from userproxy.standalone.leaves import Leaves, leaves
from userproxy.standalone.objects import Json
from userproxy.standalone.schema import Shape

APPLY, UPDATE = "Apply", "Update"
_MISSING = object()


class Writer(msgspec.Struct, frozen=True):
    """Who writes, and how: two writes of equal Writers share one entry."""

    manager: str
    operation: str = UPDATE
    subresource: str = ""


class Owner(msgspec.Struct, frozen=True):
    """One entry of managedFields."""

    writer: Writer
    api_version: str
    time: str
    paths: frozenset[Path]

    def described(self) -> str:
        """Return the owner as conflicts name it."""
        text = f'"{self.writer.manager}"'
        if self.writer.subresource:
            text += f' with subresource "{self.writer.subresource}"'
        if self.writer.operation == UPDATE:
            text += f" using {self.api_version} at {self.time}" if self.time else f" using {self.api_version}"
        return text


def owners_of(item: Json) -> tuple[Owner, ...]:
    """Return the owners that an object names."""
    return read_owners(item["metadata"].get("managedFields", []))


def read_owners(entries: list[Json]) -> tuple[Owner, ...]:
    """Return the owners of managedFields; entries without fields are left out."""
    owners = []
    for entry in entries:
        paths = from_fields_v1(entry.get("fieldsV1"))
        writer = Writer(
            entry.get("manager", ""), entry.get("operation", UPDATE), entry.get("subresource", "")
        )
        if paths and writer.operation in (APPLY, UPDATE):
            owners.append(Owner(writer, entry.get("apiVersion", ""), entry.get("time", ""), paths))
    return tuple(owners)


def write_owners(item: Json, owners: Iterable[Owner]) -> None:
    """Put owners into an object; changes `item`."""
    entries = [_entry(owner) for owner in sorted(owners, key=_order) if owner.paths]
    item["metadata"].pop("managedFields", None)
    if entries:
        item["metadata"]["managedFields"] = entries


def _order(owner: Owner) -> tuple[str, ...]:
    return (owner.writer.operation, owner.time, owner.writer.manager, owner.writer.subresource)


def _entry(owner: Owner) -> Json:
    entry: Json = {"manager": owner.writer.manager, "operation": owner.writer.operation}
    entry |= {"apiVersion": owner.api_version, "time": owner.time, "fieldsType": "FieldsV1"}
    entry["fieldsV1"] = to_fields_v1(owner.paths)
    if owner.writer.subresource:
        entry["subresource"] = owner.writer.subresource
    return entry


def note_update(
    item: Json,
    old: Json | None,
    entries: list[Json],
    shape: Shape,
    writer: Writer,
    api_version: str,
    now: str,
) -> None:
    """Put owners into `item`, which `writer` made of `old`, whose owners `entries` are; changes `item`."""
    status = writer.subresource == "status"
    after = leaves(item, shape, status=status)
    alone = entries[0] if len(entries) == 1 and _is_of(entries[0], writer, api_version) else None
    if alone is not None and alone.get("fieldsV1") == to_fields_v1(frozenset(after)):
        # the only owner, of the same fields as before, whatever their values
        item["metadata"]["managedFields"] = entries
        return
    if old is None and not entries and after:
        item["metadata"]["managedFields"] = [_entry(Owner(writer, api_version, now, frozenset(after)))]
        return
    before = None if old is None else leaves(old, shape, status=status)
    write_owners(item, after_update(read_owners(entries), before, after, writer, api_version, now))


def _is_of(entry: Json, writer: Writer, api_version: str) -> bool:
    known = (
        entry.get("manager"),
        entry.get("operation"),
        entry.get("subresource", ""),
        entry.get("apiVersion"),
    )
    return known == (writer.manager, writer.operation, writer.subresource, api_version)


def after_update(
    owners: tuple[Owner, ...],
    before: Leaves | None,
    after: Leaves,
    writer: Writer,
    api_version: str,
    now: str,
) -> tuple[Owner, ...]:
    """Return the owners after a write by `writer`: it owns the leaves that it changed, all lose what is gone."""
    if not owners and not before:
        return (Owner(writer, api_version, now, frozenset(after)),)
    before = before or {}
    changed = {path for path, value in after.items() if before.get(path, _MISSING) != value}
    gone = before.keys() - after.keys()
    # containers are shared by all who own something in them
    lost = without_containers(changed) | gone
    result = [_less(owner, lost) for owner in owners if owner.writer != writer]
    own = next((owner for owner in owners if owner.writer == writer), None)
    paths = ((own.paths if own else frozenset()) - gone) | changed
    if own is not None and paths == own.paths:
        now = own.time
    return (*result, Owner(writer, api_version, now, frozenset(paths)))


def _less(owner: Owner, paths: set[Path]) -> Owner:
    return msgspec.structs.replace(owner, paths=owner.paths - paths)
