"""Which object a state belongs to: name, namespace, uid and version of the metadata, and what only the server sets there.

Owns the rules on metadata that are about writing; what names and labels may look like is in `resources.metadata`.
"""

from __future__ import annotations

from userproxy.standalone import statuses
from userproxy.standalone.kinds import Kind
from userproxy.standalone.objects import Json


def settle_namespace(kind: Kind, metadata: Json, namespace: str) -> None:
    """Put the namespace of the request into metadata. Raises Refusal (400) when another is given."""
    if not kind.namespaced:
        metadata.pop("namespace", None)
        return
    if metadata.setdefault("namespace", namespace) != namespace:
        text = "the namespace of the provided object does not match the namespace sent on the request"
        raise statuses.bad_request(text)


def check_identity(kind: Kind, old: Json, new: Json) -> None:
    """Refuse a new state that is about another object or another version. Raises Refusal."""
    was, given = old["metadata"], new["metadata"]
    name = was["name"]
    if given.setdefault("name", name) != name:
        text = f"the name of the object ({given['name']}) does not match the name on the URL ({name})"
        raise statuses.bad_request(text)
    settle_namespace(kind, given, was.get("namespace", ""))
    if given.get("uid", was["uid"]) != was["uid"]:
        why = f"Precondition failed: UID in precondition: {given['uid']}, UID in object meta: {was['uid']}"
        raise statuses.conflict(kind, name, why)
    if given.get("resourceVersion", was["resourceVersion"]) != was["resourceVersion"]:
        raise statuses.conflict(kind, name)


_SERVER_SET = (
    "uid",
    "creationTimestamp",
    "deletionTimestamp",
    "deletionGracePeriodSeconds",
    "generation",
    "generateName",
)


def keep_metadata(new: Json, old: Json) -> None:
    """Carry over what only the server sets; changes `new`."""
    for field in _SERVER_SET:
        new.pop(field, None)
        if field in old:
            new[field] = old[field]


def ordered(kind: Kind, metadata: Json) -> Json:
    """Return metadata in the order of the wire."""
    fields = kind.shape.fields["metadata"].fields
    return {field: metadata[field] for field in fields if field in metadata}


def wanted(kind: Kind, item: Json) -> Json:
    """Return what a generation counts: all but status and metadata; the labels too for kinds without a status."""
    wanted = {field: value for field, value in item.items() if field not in ("metadata", "status")}
    if not kind.has_status:
        wanted["labels"] = item["metadata"].get("labels")
    return wanted
