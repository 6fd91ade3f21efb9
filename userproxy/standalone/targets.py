"""What a request path names: a kind, all objects or one, in a namespace or not, or a subresource.

Owns the URL layout of the Kubernetes API. Answers nothing itself.
"""

from __future__ import annotations

import functools

import msgspec

from userproxy.standalone.kinds import GROUPS, Kind, by_resource
from userproxy.standalone.statuses import unknown_resource


class Target(msgspec.Struct, frozen=True):
    """The object or objects of a request. `name` is empty for a collection, `namespace` for all namespaces."""

    kind: Kind
    namespace: str = ""
    name: str = ""
    subresource: str = ""
    old_watch: bool = False
    """The deprecated `/watch/` path: a watch whatever the parameters say."""

    @property
    def is_creatable(self) -> bool:
        """Whether the path is a collection that a new object belongs to."""
        return not self.name and (bool(self.namespace) or not self.kind.namespaced)


class UnknownPath(Exception):
    """A path outside the API; a real server answers such in plain text."""


def names_objects(path: str) -> bool:
    """Return whether a path lies where objects are, deeper than all documents about an API."""
    depth = 3 if path.startswith("/api/") else 4 if path.startswith("/apis/") else len(path) + 1
    return path.count("/") >= depth and not path.endswith("/")


@functools.lru_cache(maxsize=256)
def parse_target(path: str) -> Target:
    """Return what a path below /api or /apis names.

    Raises UnknownPath for other paths and unknown groups, Refusal (404) for unknown resources of known groups.
    """
    parts = path.removesuffix("/").split("/")[1:]
    if parts[:1] == ["api"] and len(parts) > 1:
        group, version, rest = "", parts[1], parts[2:]
    elif parts[:1] == ["apis"] and len(parts) > 2 and parts[1] in GROUPS and parts[1]:
        group, version, rest = parts[1], parts[2], parts[3:]
    else:
        raise UnknownPath(path)
    if version not in GROUPS.get(group, ()) or not rest or "" in rest:
        raise unknown_resource()
    old_watch = rest[0] == "watch"
    if old_watch:
        rest = rest[1:]
    namespace = ""
    if len(rest) >= 3 and rest[0] == "namespaces" and by_resource(group, version, rest[2]) is not None:
        namespace, rest = rest[1], rest[2:]
    return _target(group, version, namespace, rest, old_watch=old_watch)


def _target(group: str, version: str, namespace: str, rest: list[str], *, old_watch: bool) -> Target:
    kind = by_resource(group, version, rest[0]) if rest else None
    if kind is None or len(rest) > 3 or (namespace and not kind.namespaced):
        raise unknown_resource()
    name = rest[1] if len(rest) > 1 else ""
    subresource = rest[2] if len(rest) > 2 else ""
    if name and kind.namespaced and not namespace:
        raise unknown_resource()
    if subresource and not (subresource == "status" and kind.has_status):
        raise unknown_resource()
    return Target(kind, namespace, name, subresource, old_watch)
