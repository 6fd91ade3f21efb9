"""Deleting: at once, marked until finalizers let go or a Pod's grace has passed, or a namespace with all that is in it.

Owns preconditions and marks. Knows no HTTP; what an answer looks like is decided by who asks.
"""

from __future__ import annotations

from collections.abc import Callable

import msgspec

from userproxy.standalone import statuses
from userproxy.standalone.identity import ordered
from userproxy.standalone.kinds import KINDS, NAMESPACE, POD, Kind
from userproxy.standalone.objects import Json, clone, key_of, object_key, timestamp
from userproxy.standalone.resources.namespace import INITIAL
from userproxy.standalone.resources.pod import GRACE_SECONDS
from userproxy.standalone.store import MemoryStore, with_version


class DeleteOptions(msgspec.Struct, frozen=True):
    """How to delete; empty preconditions always hold. `grace` in seconds, None for what the Pod says."""

    dry_run: bool = False
    grace: int | None = None
    uid: str = ""
    resource_version: str = ""


DEFAULT_DELETE = DeleteOptions()


class Deletions:
    """All deletions in a store. `now` gives Unix time in seconds."""

    def __init__(self, store: MemoryStore, now: Callable[[], float]) -> None:
        self._store = store
        self._now = now

    def _read(self, kind: Kind, namespace: str, name: str) -> Json:
        item = self._store.get(kind, object_key(namespace, name))
        if item is None:
            raise statuses.not_found(kind, name)
        return item

    def delete(self, kind: Kind, namespace: str, name: str, options: DeleteOptions = DEFAULT_DELETE) -> Json:
        """Delete an object, or mark it when finalizers hold it; returns its last state. Raises Refusal."""
        old = self._read(kind, namespace, name)
        metadata = old["metadata"]
        if options.uid and options.uid != metadata["uid"]:
            why = (
                f"the UID in the precondition ({options.uid}) does not match the UID in record "
                f"({metadata['uid']}). The object might have been deleted and then recreated"
            )
            raise statuses.precondition_failed(kind, name, why)
        if options.resource_version and options.resource_version != metadata["resourceVersion"]:
            why = (
                f"the ResourceVersion in the precondition ({options.resource_version}) does not match the "
                f"ResourceVersion in record ({metadata['resourceVersion']}). The object might have been modified"
            )
            raise statuses.precondition_failed(kind, name, why)
        if kind is NAMESPACE and name in INITIAL:
            text = f'namespaces "{name}" is forbidden: this namespace may not be deleted'
            raise statuses.forbidden_request(text)
        if options.dry_run:
            return old
        if kind is NAMESPACE:
            return self._delete_namespace(old)
        grace = _grace(kind, old, options)
        if metadata.get("finalizers") or grace:
            return self._mark(kind, old, grace)
        return self._remove(kind, key_of(old))

    def delete_all(
        self,
        kind: Kind,
        namespace: str,
        selected: Callable[[Json], bool],
        options: DeleteOptions = DEFAULT_DELETE,
    ) -> list[Json]:
        """Delete every selected object of a namespace (or of a kind without namespaces); returns their last states."""
        prefix = f"{namespace}/" if kind.namespaced else ""
        chosen = [item for _key, item in self._store.items(kind, prefix=prefix) if selected(item)]
        return [self.delete(kind, namespace, item["metadata"]["name"], options) for item in chosen]

    def _remove(self, kind: Kind, key: str) -> Json:
        return self._store.delete(kind, key)

    def _mark(self, kind: Kind, old: Json, grace: int = 0) -> Json:
        metadata = old["metadata"]
        if metadata.get("deletionTimestamp") and metadata.get("deletionGracePeriodSeconds", 0) <= grace:
            return old
        new = clone(old)
        ends = timestamp(self._now() + grace)
        new["metadata"] |= {"deletionTimestamp": ends, "deletionGracePeriodSeconds": grace}
        if kind.counts_generation:
            new["metadata"]["generation"] = metadata.get("generation", 0) + 1
        new["metadata"] = ordered(kind, new["metadata"])
        return self._store.put(kind, new)

    def _delete_namespace(self, old: Json) -> Json:
        """Mark a namespace, empty it, remove it: what the namespace controller does, without the waiting."""
        marked = self._mark(NAMESPACE, {**old, "status": {**old["status"], "phase": "Terminating"}})
        name = old["metadata"]["name"]
        for kind in KINDS:
            if kind.namespaced:
                for key, _item in list(self._store.items(kind, prefix=f"{name}/")):
                    self._remove(kind, key)
        gone = self._remove(NAMESPACE, name)
        return with_version(marked, int(gone["metadata"]["resourceVersion"]))


def _grace(kind: Kind, old: Json, options: DeleteOptions) -> int:
    """Return the seconds a Pod goes on after its deletion: none when it has no node, or has ended already."""
    if kind is not POD:
        return 0
    spec, status = old["spec"], old["status"]
    if not spec.get("nodeName") or status.get("phase") in ("Succeeded", "Failed"):
        return 0
    given = (
        spec.get("terminationGracePeriodSeconds", GRACE_SECONDS) if options.grace is None else options.grace
    )
    return max(0, int(given))
