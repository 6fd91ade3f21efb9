"""What RBAC rules allow: Roles and ClusterRoles from YAML, asked about one request at a time.

Owns the reading of rules and bindings and the match of a request with them, after rbac.authorization.k8s.io/v1 and
plugin/pkg/auth/authorizer/rbac of Kubernetes. Who asks and what a refusal says is in `authorization`. Pure but for the
rules' own reading.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any

import msgspec

from userproxy.errors import UsageError
from userproxy.files.yamltext import YamlFault, read_documents
from userproxy.standalone.objects import Json

ALL = "*"


class Attributes(msgspec.Struct, frozen=True):
    """What a request is about. `path` is set for requests that are not about resources, and then nothing else but `verb`."""

    verb: str
    group: str = ""
    resource: str = ""
    subresource: str = ""
    namespace: str = ""
    name: str = ""
    path: str = ""


class Rule(msgspec.Struct, frozen=True, rename="camel"):
    """A PolicyRule. `namespace` is where it holds, empty for everywhere."""

    verbs: tuple[str, ...] = ()
    api_groups: tuple[str, ...] = ()
    resources: tuple[str, ...] = ()
    resource_names: tuple[str, ...] = ()
    non_resource_urls: tuple[str, ...] = msgspec.field(default=(), name="nonResourceURLs")
    namespace: str = ""

    def allows(self, asked: Attributes) -> bool:
        """Return whether this rule alone allows a request."""
        if asked.verb not in self.verbs and ALL not in self.verbs:
            return False
        if asked.path:
            return not self.namespace and any(_covers(url, asked.path) for url in self.non_resource_urls)
        return (
            self.namespace in ("", asked.namespace)
            and (asked.group in self.api_groups or ALL in self.api_groups)
            and self._names_resource(asked)
            and (not self.resource_names or asked.name in self.resource_names)
        )

    def _names_resource(self, asked: Attributes) -> bool:
        wanted = f"{asked.resource}/{asked.subresource}" if asked.subresource else asked.resource
        return any(
            each in (ALL, wanted) or (bool(asked.subresource) and each == f"{ALL}/{asked.subresource}")
            for each in self.resources
        )


def _covers(url: str, path: str) -> bool:
    return path.startswith(url.removesuffix(ALL)) if url.endswith(ALL) else url == path


_REVIEWS = ("selfsubjectaccessreviews", "selfsubjectrulesreviews")
_ABOUT = ("/api", "/api/*", "/apis", "/apis/*", "/openapi", "/openapi/*", "/version", "/version/")
EVERYBODY = (
    Rule(verbs=("create",), api_groups=("authorization.k8s.io",), resources=_REVIEWS),
    Rule(verbs=("get",), non_resource_urls=(*_ABOUT, "/healthz", "/livez", "/readyz")),
)
"""What a real server binds to system:authenticated: system:basic-user, system:discovery, system:public-info-viewer."""


class Rules(msgspec.Struct, frozen=True):
    """All rules of one user, whose name refusals tell."""

    user: str
    rules: tuple[Rule, ...]

    def allows(self, asked: Attributes) -> bool:
        """Return whether a request is allowed."""
        return any(rule.allows(asked) for rule in (*EVERYBODY, *self.rules))

    def effective(self, namespace: str) -> tuple[Rule, ...]:
        """Return the rules that hold in a namespace."""
        return (*EVERYBODY, *(rule for rule in self.rules if rule.namespace in ("", namespace)))


class _Role(msgspec.Struct, frozen=True):
    kind: str
    namespace: str
    name: str
    rules: tuple[Rule, ...]


def parse_rules(text: str, user: str = "") -> Rules:
    """Return the rules that YAML text gives a user.

    Without any binding in the text each ClusterRole counts for all namespaces and each Role for its own. With bindings only
    those count that name the user, a service account as `system:serviceaccount:NAMESPACE:NAME`; an empty `user` is the first
    service account that a binding names. Other kinds are passed over. Raises UsageError.
    """
    try:
        documents = [document.value for document in read_documents(text)]
    except YamlFault as fault:
        raise UsageError(f"RBAC rules: line {fault.line}: {fault}") from fault
    items = [item for item in _unlisted(documents) if isinstance(item, dict)]
    roles = [_role(item) for item in items if item.get("kind") in ("Role", "ClusterRole")]
    if not roles:
        raise UsageError("RBAC rules: there is no Role and no ClusterRole in it")
    bindings = [item for item in items if item.get("kind") in ("RoleBinding", "ClusterRoleBinding")]
    if not bindings:
        bound = [(role, role.namespace) for role in roles]
    else:
        user = user or _first_account(bindings)
        bound = list(_bound(roles, bindings, user))
    rules = (msgspec.structs.replace(rule, namespace=where) for role, where in bound for rule in role.rules)
    return Rules(user or "system:serviceaccount:default:default", tuple(rules))


def _unlisted(documents: Iterable[Any]) -> Iterator[Any]:
    for document in documents:
        if isinstance(document, dict) and document.get("kind") == "List":
            yield from document.get("items") or []
        else:
            yield document


def _role(item: Json) -> _Role:
    metadata = item.get("metadata") or {}
    name, kind = str(metadata.get("name", "")), item["kind"]
    try:
        rules = msgspec.convert(item.get("rules") or [], tuple[Rule, ...])
    except msgspec.ValidationError as fault:
        raise UsageError(f"RBAC rules: {kind} {name!r}: {fault}") from fault
    return _Role(kind, _namespace(metadata) if kind == "Role" else "", name, rules)


def _bound(roles: list[_Role], bindings: list[Json], user: str) -> Iterator[tuple[_Role, str]]:
    for binding in bindings:
        metadata, reference = binding.get("metadata") or {}, binding.get("roleRef") or {}
        cluster_wide = binding["kind"] == "ClusterRoleBinding"
        where = "" if cluster_wide else _namespace(metadata)
        if user not in [_subject_name(subject) for subject in binding.get("subjects") or []]:
            continue
        wanted = (reference.get("kind"), reference.get("name"))
        found = [
            role
            for role in roles
            if (role.kind, role.name) == wanted and (role.kind == "ClusterRole" or role.namespace == where)
        ]
        if not found:
            raise UsageError(
                f"RBAC rules: {binding['kind']} {metadata.get('name')!r} names {wanted[0]} {wanted[1]!r}, which is not in it"
            )
        yield from ((role, where) for role in found)


def _first_account(bindings: list[Json]) -> str:
    for binding in bindings:
        for subject in binding.get("subjects") or []:
            if subject.get("kind") == "ServiceAccount":
                return _subject_name(subject)
    return ""


def _subject_name(subject: Json) -> str:
    if subject.get("kind") == "ServiceAccount":
        return f"system:serviceaccount:{subject.get('namespace', '')}:{subject.get('name', '')}"
    return str(subject.get("name", ""))


def _namespace(metadata: Json) -> str:
    return str(metadata.get("namespace") or "default")
