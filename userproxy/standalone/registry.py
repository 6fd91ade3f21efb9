"""Writes: what a server does between a request and the store, the same for HTTP, manifests and controllers.

Owns metadata, defaults, allotted values, checks, conflicts and dry runs. Knows no HTTP. Each call is atomic: it does not
await, and either stores one state or raises a Refusal.
"""

from __future__ import annotations

import random
import time
from collections.abc import Callable
from typing import Any

import msgspec

from userproxy.standalone import statuses
from userproxy.standalone.addresses import ServiceAddresses
from userproxy.standalone.applying import apply
from userproxy.standalone.conforming import conform
from userproxy.standalone.decoding import DEFAULT_WRITE, WriteOptions, decode
from userproxy.standalone.deletion import DEFAULT_DELETE, DeleteOptions, Deletions
from userproxy.standalone.fieldsets import without_containers
from userproxy.standalone.identity import check_identity, keep_metadata, ordered, settle_namespace, wanted
from userproxy.standalone.kinds import NAMESPACE, SERVICE_CIDR, Kind
from userproxy.standalone.leaves import leaves
from userproxy.standalone.objects import Json, clone, key_of, new_uid, object_key, timestamp
from userproxy.standalone.ownership import (
    APPLY,
    UPDATE,
    Owner,
    Writer,
    note_update,
    owners_of,
    write_owners,
)
from userproxy.standalone.resources.namespace import INITIAL
from userproxy.standalone.resources.servicecidr import DEFAULT_NAME
from userproxy.standalone.store import MemoryStore

_SUFFIX_LETTERS = "bcdfghjklmnpqrstvwxz2456789"
_PREFIX_LIMIT = 58
"""Longest prefix of a generated name: 63 less the five letters that follow."""

Change = Callable[[Json], Any]
"""What makes the new state from a copy of the old one."""


Track = Callable[[Json], None]
"""What notes in an object who owns its fields."""


class Written(msgspec.Struct, frozen=True):
    """The stored state, whether it is a new object, and warnings for the client."""

    item: Json
    created: bool = False
    warnings: tuple[str, ...] = ()


class Registry:
    """All writes to a store. `now` gives Unix time in seconds."""

    def __init__(
        self, store: MemoryStore, addresses: ServiceAddresses, now: Callable[[], float] = time.time
    ) -> None:
        self.store = store
        self._addresses = addresses
        self._now = now
        self._random = random.Random()
        self._deletions = Deletions(store, now)

    def create_initial_objects(self) -> None:
        """Make what every cluster has, where it is missing: four namespaces and the range of cluster IPs."""
        for name in INITIAL:
            if self.store.get(NAMESPACE, name) is None:
                self.create(NAMESPACE, "", {"metadata": {"name": name}})
        if self.store.get(SERVICE_CIDR, DEFAULT_NAME) is None:
            spec = {"cidrs": self._addresses.ranges}
            self.create(SERVICE_CIDR, "", {"metadata": {"name": DEFAULT_NAME}, "spec": spec})

    def read(self, kind: Kind, namespace: str, name: str) -> Json:
        """Return an object. Raises Refusal (404)."""
        item = self.store.get(kind, object_key(namespace, name))
        if item is None:
            raise statuses.not_found(kind, name)
        return item

    def is_free_cluster_ip(self, address: str) -> bool:
        """Return whether a Service could get this cluster IP now."""
        return self._addresses.in_range(address) and not self._addresses.holder_of(address)

    # ---- create ----------------------------------------------------------------------------------------------

    def create(
        self,
        kind: Kind,
        namespace: str,
        body: Any,
        options: WriteOptions = DEFAULT_WRITE,
        *,
        owners: tuple[Owner, ...] | None = None,
    ) -> Written:
        """Store a new object; `owners` are those of its fields when it comes from an apply. Raises Refusal."""
        item, warnings = decode(kind, body, options)
        metadata = item["metadata"]
        if metadata.get("resourceVersion"):
            raise statuses.internal("resourceVersion should not be set on objects to be created")
        settle_namespace(kind, metadata, namespace)
        self._require_namespace(kind, metadata)
        if not metadata.get("name") and metadata.get("generateName"):
            metadata["name"] = self._generated(kind, namespace, metadata["generateName"])
        if self.store.get(kind, key_of(item)) is not None:
            raise statuses.already_exists(kind, metadata["name"])
        for field in ("deletionTimestamp", "deletionGracePeriodSeconds", "selfLink", "generation"):
            metadata.pop(field, None)
        metadata |= {"uid": new_uid(), "creationTimestamp": timestamp(self._now())}
        metadata["resourceVersion"] = "0"  # holds the place that the wire gives it
        if kind.counts_generation:
            metadata["generation"] = 1
        if kind.has_status and not kind.declared_status:
            item["status"] = conform({}, kind.shape.fields["status"]).item
        metadata.pop("managedFields", None)
        track = _keep_owners(owners) if owners is not None else self._track(kind, [], None, options)
        self._finish(kind, item, None, track, prepared=options.prepared)
        if options.dry_run:
            del item["metadata"]["resourceVersion"]
        else:
            self.store.put(kind, item)
        return Written(item, created=True, warnings=warnings + kind.warn(item))

    def _generated(self, kind: Kind, namespace: str, prefix: str) -> str:
        for _attempt in range(8):
            suffix = "".join(self._random.choices(_SUFFIX_LETTERS, k=5))
            name = prefix[:_PREFIX_LIMIT] + suffix
            if self.store.get(kind, object_key(namespace, name)) is None:
                return name
        raise statuses.already_exists(kind, name)

    def _require_namespace(self, kind: Kind, metadata: Json) -> None:
        if not kind.namespaced:
            return
        name = metadata["namespace"]
        home = self.store.get(NAMESPACE, name)
        if home is None:
            raise statuses.not_found(NAMESPACE, name)
        if home["metadata"].get("deletionTimestamp"):
            text = f"unable to create new content in namespace {name} because it is being terminated"
            raise statuses.forbidden_request(text)

    # ---- update ----------------------------------------------------------------------------------------------

    def replace(
        self,
        kind: Kind,
        namespace: str,
        name: str,
        body: Any,
        options: WriteOptions = DEFAULT_WRITE,
        *,
        status: bool = False,
    ) -> Written:
        """Store a whole new state (PUT); `status` writes the status alone. Raises Refusal."""
        old = self.store.get(kind, object_key(namespace, name))
        if old is None:
            if kind.put_creates and not status and isinstance(body, dict):
                metadata = body.get("metadata")
                if isinstance(metadata, dict) and metadata.get("name", name) == name:
                    return self.create(
                        kind, namespace, {**body, "metadata": {**metadata, "name": name}}, options
                    )
            raise statuses.not_found(kind, name)
        new, warnings = decode(kind, body, options)
        given_status = isinstance(body, dict) and bool(body.get("status"))
        return self._update(kind, old, new, options, warnings, status=status, given_status=given_status)

    def change(
        self,
        kind: Kind,
        namespace: str,
        name: str,
        change: Change,
        options: WriteOptions = DEFAULT_WRITE,
        *,
        status: bool = False,
    ) -> Written:
        """Store what `change` makes of a copy of the present state (PATCH). Raises Refusal."""
        old = self.read(kind, namespace, name)
        new, warnings = decode(kind, change(clone(old)), options, patched=True)
        return self._update(kind, old, new, options, warnings, status=status, given_status=True)

    def _update(
        self,
        kind: Kind,
        old: Json,
        new: Json,
        options: WriteOptions,
        warnings: tuple[str, ...],
        *,
        status: bool,
        given_status: bool,
        owners: tuple[Owner, ...] | None = None,
    ) -> Written:
        check_identity(kind, old, new)
        if status:
            new = {**clone(old), "status": new["status"]}
        elif kind.has_status and not (kind.declared_status and given_status):
            new["status"] = clone(old["status"])
        keep_metadata(new["metadata"], old["metadata"])
        # a version of its own, or equal objects would differ
        new["metadata"]["resourceVersion"] = old["metadata"]["resourceVersion"]
        if owners is None:
            entries = new["metadata"].get("managedFields") or old["metadata"].get("managedFields", [])
            track = self._track(kind, entries, old, options, "status" if status else "")
        else:
            track = _keep_owners(owners)
        self._finish(kind, new, old, track, prepared=options.prepared)
        if kind.counts_generation and wanted(kind, new) != wanted(kind, old):
            new["metadata"]["generation"] = old["metadata"].get("generation", 0) + 1
            new["metadata"] = ordered(kind, new["metadata"])
        if new == old:
            return Written(old, warnings=warnings + kind.warn(old))
        released = old["metadata"].get("finalizers") and not new["metadata"].get("finalizers")
        if released and new["metadata"].get("deletionTimestamp"):
            if not options.dry_run:
                self.store.delete(kind, key_of(old))
            return Written(new, warnings=warnings)
        if not options.dry_run:
            self.store.put(kind, new)
        return Written(new, warnings=warnings + kind.warn(new))

    def _track(
        self,
        kind: Kind,
        entries: list[Json],
        old: Json | None,
        options: WriteOptions,
        subresource: str = "",
    ) -> Track:
        """Return what notes the owners of fields in an object that has its defaults."""

        def track(item: Json) -> None:
            writer = Writer(options.manager, UPDATE, subresource)
            moment = timestamp(self._now())
            note_update(item, old, entries, kind.shape, writer, kind.api_version, moment)

        return track

    def _finish(
        self, kind: Kind, item: Json, old: Json | None, track: Track, *, prepared: bool = False
    ) -> None:
        """Default, note owners, allot, check; changes `item`. Raises Refusal (422)."""
        if not prepared:
            kind.default(item)
        track(item)
        name = item["metadata"].get("name", "")
        causes = []
        if kind.has_addresses:
            causes = self._addresses.allot(item, old)
        causes = causes or kind.check(item, old)
        if causes:
            raise statuses.unprocessable(kind, name, causes)
        # what defaults and allotting added stands at the end; the wire has its own order
        metadata = ordered(kind, item["metadata"])
        if not prepared:
            item.update(conform({**item, "metadata": {}}, kind.shape).item)
        item["metadata"] = metadata

    def apply(
        self,
        kind: Kind,
        namespace: str,
        name: str,
        body: Any,
        options: WriteOptions = DEFAULT_WRITE,
        *,
        status: bool = False,
    ) -> Written:
        """Merge what a manager wants into an object, or create it (server-side apply). Raises Refusal."""
        wanted, warnings = decode(kind, body, options, sparse=True)
        metadata = wanted.setdefault("metadata", {})
        if metadata.pop("managedFields", None):
            raise statuses.bad_request("metadata.managedFields must be nil")
        writer = Writer(options.manager, APPLY, "status" if status else "")
        moment = timestamp(self._now())
        old = self.store.get(kind, object_key(namespace, name))
        if old is None:
            if status:
                raise statuses.not_found(kind, name)
            return self._create_applied(kind, namespace, name, wanted, options, warnings, writer)
        if kind.has_status and not kind.declared_status and not status:
            wanted.pop("status", None)
        merged, owners = apply(
            old,
            wanted,
            kind.shape,
            owners_of(old),
            writer,
            api_version=kind.api_version,
            now=moment,
            force=options.force,
        )
        new, _warnings = decode(kind, merged, options, patched=True)
        return self._update(
            kind, old, new, options, warnings, status=status, given_status=True, owners=owners
        )

    def _create_applied(
        self,
        kind: Kind,
        namespace: str,
        name: str,
        wanted: Json,
        options: WriteOptions,
        warnings: tuple[str, ...],
        writer: Writer,
    ) -> Written:
        if wanted["metadata"].setdefault("name", name) != name:
            given = wanted["metadata"]["name"]
            text = f"the name of the object ({given}) does not match the name on the URL ({name})"
            raise statuses.bad_request(text)
        paths = without_containers(leaves(wanted, kind.shape, status=False))
        owner = Owner(writer, kind.api_version, timestamp(self._now()), frozenset(paths))
        written = self.create(kind, namespace, wanted, options, owners=(owner,))
        return msgspec.structs.replace(written, warnings=warnings + written.warnings)

    # ---- delete ----------------------------------------------------------------------------------------------

    def delete(self, kind: Kind, namespace: str, name: str, options: DeleteOptions = DEFAULT_DELETE) -> Json:
        """Delete an object, or mark it until it may go; returns its last state. Raises Refusal."""
        return self._deletions.delete(kind, namespace, name, options)

    def delete_all(
        self,
        kind: Kind,
        namespace: str,
        selected: Callable[[Json], bool],
        options: DeleteOptions = DEFAULT_DELETE,
    ) -> list[Json]:
        """Delete every selected object of a namespace (or of a kind without); returns their last states."""
        return self._deletions.delete_all(kind, namespace, selected, options)


def _keep_owners(owners: tuple[Owner, ...]) -> Track:
    return lambda item: write_owners(item, owners)
