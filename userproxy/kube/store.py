"""The objects of one resource as the API server last told us, and what changed since the last delivery.

Owns the comparison: an object that did not really change gives no change, and a new list removes what is not in it.
Does no input or output and decodes nothing.
"""

from __future__ import annotations

from userproxy.api_objects import Changes, KubeObject
from userproxy.model import ServiceName


class Listing:
    """A list that is still arriving: nothing of it is used before its end."""

    def __init__(self) -> None:
        self.objects: dict[ServiceName, KubeObject] = {}
        self.unreadable: set[ServiceName] = set()

    def put(self, key: ServiceName, value: KubeObject | None) -> None:
        """Set the object at `key`; None means that there is none for us."""
        self.unreadable.discard(key)
        if value is None:
            self.objects.pop(key, None)
        else:
            self.objects[key] = value

    def keep(self, key: ServiceName) -> None:
        """Note that an object exists at `key` which cannot be read: whatever was known of it stays."""
        self.unreadable.add(key)


class Store:
    """The objects by key. One writer: the reflector of the resource."""

    def __init__(self, resource: str) -> None:
        self._resource = resource
        self._objects: dict[ServiceName, KubeObject] = {}
        self._before: dict[ServiceName, KubeObject | None] = {}

    def __len__(self) -> int:
        return len(self._objects)

    def put(self, key: ServiceName, value: KubeObject | None) -> None:
        """Set the object at `key`; None means that there is none for us."""
        old = self._objects.get(key)
        if old == value:
            return
        self._before.setdefault(key, old)
        if value is None:
            del self._objects[key]
        else:
            self._objects[key] = value

    def keep(self, key: ServiceName) -> None:
        """Leave the object at `key` as it is: its new form cannot be read."""

    def replace(self, listing: Listing) -> None:
        """Make the store equal to a complete list; objects the list could not read stay as they were."""
        gone = self._objects.keys() - listing.objects.keys() - listing.unreadable
        for key in gone:
            self.put(key, None)
        for key, value in listing.objects.items():
            self.put(key, value)

    def take_changes(self, *, listed: bool = False) -> Changes:
        """Return what differs from the last call, as one batch; changes that undid each other are not in it."""
        before, self._before = self._before, {}
        changed: list[KubeObject] = []
        removed: list[ServiceName] = []
        for key, old in before.items():
            now = self._objects.get(key)
            if now is None:
                if old is not None:
                    removed.append(key)
            elif now != old:
                changed.append(now)
        return Changes(self._resource, tuple(changed), tuple(removed), listed)
