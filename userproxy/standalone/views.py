"""What a client sees of objects: as they are, their metadata alone, or a table, each single, listed and in a watch.

Owns the choice by the format that `wire` found in the request. Knows no HTTP.
"""

from __future__ import annotations

import time
from collections.abc import Callable

from userproxy.standalone.kinds import Kind
from userproxy.standalone.objects import Json
from userproxy.standalone.tables import table
from userproxy.standalone.wire import Format, View, partial


class Viewer:
    """Shows objects of one kind in the format of one request. `now` gives Unix time."""

    def __init__(self, kind: Kind, form: Format, now: Callable[[], float] = time.time) -> None:
        self._kind = kind
        self._form = form
        self._now = now
        self._headed = False

    def one(self, item: Json) -> Json:
        """Return the view of a single object."""
        if self._form.view is View.TABLE:
            return self._table([item], _version_of(item), headed=True)
        return partial(item) if self._form.view is View.PARTIAL else item

    def event(self, item: Json) -> Json:
        """Return the view of an object in a watch; only the first table of a stream has its columns described."""
        if self._form.view is View.TABLE:
            headed, self._headed = not self._headed, True
            return self._table([item], _version_of(item), headed=headed)
        return self.one(item)

    def many(self, metadata: Json, items: list[Json]) -> Json:
        """Return the view of a list; `metadata` is that of the list."""
        if self._form.view is View.TABLE:
            return self._table(items, metadata, headed=True)
        if self._form.view is View.PARTIAL:
            head = {"kind": f"{View.PARTIAL.value}List", "apiVersion": "meta.k8s.io/v1", "metadata": metadata}
            return {**head, "items": [{"metadata": item["metadata"]} for item in items]}
        # kind and apiVersion stand once at the list, not at each item
        bare = [
            {name: value for name, value in item.items() if name not in ("kind", "apiVersion")}
            for item in items
        ]
        return {
            "kind": self._kind.list_kind,
            "apiVersion": self._kind.api_version,
            "metadata": metadata,
            "items": bare,
        }

    def _table(self, items: list[Json], metadata: Json, *, headed: bool) -> Json:
        return table(self._kind, items, metadata, self._now(), self._form.include, headed=headed)


def _version_of(item: Json) -> Json:
    version = item["metadata"].get("resourceVersion")
    return {"resourceVersion": version} if version else {}
