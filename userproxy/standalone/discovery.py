"""What the server says about itself: version, health, API groups and resources.

Owns the documents only; all of them come from the table of kinds.
"""

from __future__ import annotations

from userproxy import __version__
from userproxy.standalone import reviews
from userproxy.standalone.authorization import REVIEW_GROUP
from userproxy.standalone.kinds import GROUPS as STORED_GROUPS
from userproxy.standalone.kinds import KINDS, Kind
from userproxy.standalone.objects import Json

HEALTH_PATHS = ("/healthz", "/livez", "/readyz")
KUBERNETES = "v1.36.2"
"""Version of Kubernetes whose API this server follows."""

_VERBS = ("create", "delete", "deletecollection", "get", "list", "patch", "update", "watch")
_STATUS_VERBS = ("get", "patch", "update")
GROUPS = {**STORED_GROUPS, REVIEW_GROUP: ("v1",)}
"""Versions of each API group, also of those without objects that are stored."""


def document(path: str, address: str) -> Json | None:
    """Return the document at a path, None when there is none; `address` is host and port of this server."""
    path = path.rstrip("/") or "/"
    if path == "/version":
        return version()
    if path == "/":
        return {"paths": paths()}
    if path == "/api":
        clients = [{"clientCIDR": "0.0.0.0/0", "serverAddress": address}]
        return {"kind": "APIVersions", "versions": list(GROUPS[""]), "serverAddressByClientCIDRs": clients}
    if path == "/apis":
        groups = [_group(group) for group in GROUPS if group]
        return {"kind": "APIGroupList", "apiVersion": "v1", "groups": groups}
    parts = path.split("/")[1:]
    if parts[0] == "api" and len(parts) == 2:
        return resources("", parts[1])
    if parts[0] == "apis" and len(parts) == 2 and parts[1] in GROUPS:
        return {"kind": "APIGroup", "apiVersion": "v1", **_group(parts[1])}
    if parts[0] == "apis" and len(parts) == 3:
        return resources(parts[1], parts[2])
    return None


def version() -> Json:
    """Return the document at /version."""
    major, minor, _patch = KUBERNETES.removeprefix("v").split(".")
    return {
        "major": major,
        "minor": minor,
        "gitVersion": f"{KUBERNETES}+userproxy-{__version__}",
        "gitCommit": "",
        "gitTreeState": "clean",
        "buildDate": "1970-01-01T00:00:00Z",
        "goVersion": "",
        "compiler": "",
        "platform": "linux/amd64",
    }


def paths() -> list[str]:
    """Return what there is, for the document at /."""
    groups = [path for group in GROUPS if group for path in (f"/apis/{group}", *_versions(group))]
    return sorted(
        ["/api", *_versions(""), "/apis", *groups, *HEALTH_PATHS, "/openapi/v2", "/openapi/v3", "/version"]
    )


def _versions(group: str) -> list[str]:
    root = f"/apis/{group}" if group else "/api"
    return [f"{root}/{version}" for version in GROUPS[group]]


def _group(group: str) -> Json:
    versions = [{"groupVersion": f"{group}/{version}", "version": version} for version in GROUPS[group]]
    return {"name": group, "versions": versions, "preferredVersion": versions[0]}


def resources(group: str, version: str) -> Json | None:
    """Return the APIResourceList of a group and version, None when there is no such."""
    if version not in GROUPS.get(group, ()):
        return None
    listed: list[Json] = []
    for kind in sorted(KINDS, key=lambda each: each.plural):
        if (kind.group, kind.version) == (group, version):
            listed += _resource(kind)
    if group == REVIEW_GROUP:
        listed += [_review(*each) for each in reviews.KINDS.items()]
    head: Json = {"kind": "APIResourceList"}
    if group:
        head["apiVersion"] = "v1"
    return {**head, "groupVersion": f"{group}/{version}" if group else version, "resources": listed}


def verbs(kind: Kind) -> list[str]:
    """Return what can be done with a kind."""
    return [verb for verb in _VERBS if verb != "deletecollection" or kind.deletes_collection]


def _resource(kind: Kind) -> list[Json]:
    entry: Json = {
        "name": kind.plural,
        "singularName": kind.singular,
        "namespaced": kind.namespaced,
        "kind": kind.kind,
        "verbs": verbs(kind),
    }
    if kind.short_names:
        entry["shortNames"] = list(kind.short_names)
    if kind.categories:
        entry["categories"] = list(kind.categories)
    if not kind.has_status:
        return [entry]
    status = {"name": f"{kind.plural}/status", "singularName": "", "namespaced": kind.namespaced}
    return [entry, {**status, "kind": kind.kind, "verbs": list(_STATUS_VERBS)}]


def _review(plural: str, kind: str) -> Json:
    return {
        "name": plural,
        "singularName": kind.lower(),
        "namespaced": False,
        "kind": kind,
        "verbs": ["create"],
    }


# ---- aggregated: everything in two documents, as clients since Kubernetes 1.27 ask for it ------------------------

AGGREGATED_TYPE = "application/json;g=apidiscovery.k8s.io;v=v2;as=APIGroupDiscoveryList"


def wants_aggregated(accept: str) -> bool:
    """Return whether a client asks for aggregated discovery in the version that is served."""
    first = {part.strip() for part in accept.partition(",")[0].split(";")}
    return first == set(AGGREGATED_TYPE.split(";"))


def aggregated(path: str) -> Json:
    """Return the aggregated document at /api (the core group) or /apis (all others)."""
    groups = [group for group in GROUPS if bool(group) == (path == "/apis")]
    return {
        "kind": "APIGroupDiscoveryList",
        "apiVersion": "apidiscovery.k8s.io/v2",
        "metadata": {},
        "items": [_aggregated_group(group) for group in groups],
    }


def _aggregated_group(group: str) -> Json:
    versions = []
    for version in GROUPS[group]:
        found = [kind for kind in KINDS if (kind.group, kind.version) == (group, version)]
        entries = [_aggregated_resource(kind) for kind in sorted(found, key=lambda each: each.plural)]
        if group == REVIEW_GROUP:
            entries += [_aggregated_review(*each) for each in reviews.KINDS.items()]
        versions.append({"version": version, "resources": entries, "freshness": "Current"})
    return {"metadata": {"name": group} if group else {}, "versions": versions}


def _aggregated_resource(kind: Kind) -> Json:
    response_kind = {"group": "", "version": "", "kind": kind.kind}
    entry: Json = {
        "resource": kind.plural,
        "responseKind": response_kind,
        "scope": "Namespaced" if kind.namespaced else "Cluster",
        "singularResource": kind.singular,
        "verbs": verbs(kind),
    }
    if kind.short_names:
        entry["shortNames"] = list(kind.short_names)
    if kind.categories:
        entry["categories"] = list(kind.categories)
    if kind.has_status:
        status = {"subresource": "status", "responseKind": response_kind, "verbs": list(_STATUS_VERBS)}
        entry["subresources"] = [status]
    return entry


def _aggregated_review(plural: str, kind: str) -> Json:
    return {
        "resource": plural,
        "responseKind": {"group": "", "version": "", "kind": kind},
        "scope": "Cluster",
        "singularResource": kind.lower(),
        "verbs": ["create"],
    }
