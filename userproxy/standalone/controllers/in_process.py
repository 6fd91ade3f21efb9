"""The controllers' way to the registry of this process: no copies, no network, changes delivered as they happen.

Owns the translation of refusals and nothing else.
"""

from __future__ import annotations

import contextlib
from collections.abc import AsyncIterator

from userproxy.standalone.controllers.cluster import WATCHED, Deliver, WriteFailed
from userproxy.standalone.decoding import WriteOptions
from userproxy.standalone.deletion import DeleteOptions
from userproxy.standalone.kinds import ENDPOINT_SLICE, ENDPOINTS, Kind
from userproxy.standalone.objects import Json
from userproxy.standalone.registry import Registry
from userproxy.standalone.statuses import Refusal
from userproxy.standalone.store import Event

MANAGER = "kube-controller-manager"
"""Owner of the fields that controllers write, as at a real server."""
_OPTIONS = WriteOptions(manager=MANAGER)
_PREPARED = WriteOptions(manager=MANAGER, prepared=True)
"""The decisions of the controllers give whole objects in their shape."""
_CONFLICT_OF_UID, _GONE = 409, 404


class InProcess:
    """A Cluster that is the registry of this process."""

    def __init__(self, registry: Registry) -> None:
        self._registry = registry

    @contextlib.asynccontextmanager
    async def follow(self, deliver: Deliver) -> AsyncIterator[None]:
        """Deliver all objects and then every change, within the write that makes it."""

        def on_event(event: Event) -> None:
            deliver(event.kind, event.key, event.current)

        store = self._registry.store
        with contextlib.ExitStack() as ways_out:
            for kind in WATCHED:
                ways_out.callback(store.subscribe(kind, on_event))
                for key, item in store.items(kind):
                    deliver(kind, key, item)
            yield

    async def create(self, kind: Kind, item: Json) -> Json:
        """Create an object. Raises WriteFailed."""
        try:
            return self._registry.create(kind, item["metadata"]["namespace"], item, _options(kind)).item
        except Refusal as refused:
            raise WriteFailed(str(refused)) from refused

    async def replace(self, kind: Kind, item: Json) -> Json:
        """Replace an object. Raises WriteFailed."""
        metadata = item["metadata"]
        try:
            return self._registry.replace(
                kind, metadata["namespace"], metadata["name"], item, _options(kind)
            ).item
        except Refusal as refused:
            raise WriteFailed(str(refused)) from refused

    async def delete(self, kind: Kind, item: Json) -> None:
        """Delete an object. Raises WriteFailed."""
        metadata = item["metadata"]
        try:
            options = DeleteOptions(uid=metadata["uid"])
            self._registry.delete(kind, metadata["namespace"], metadata["name"], options)
        except Refusal as refused:
            if refused.code not in (_GONE, _CONFLICT_OF_UID):
                raise WriteFailed(str(refused)) from refused


def _options(kind: Kind) -> WriteOptions:
    return _PREPARED if kind in (ENDPOINTS, ENDPOINT_SLICE) else _OPTIONS
