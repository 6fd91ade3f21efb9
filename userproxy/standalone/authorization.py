"""Who may use the API: whoever shows the token, if one is demanded, as far as the RBAC rules go, if there are any.

Owns the check of the Authorization header, what a request asks for in the terms of RBAC, and the refusals, worded as a real
server words them. Where the token comes from is in `credentials`, the rules in `rbac`; foreign hosts and origins in `guard`.
"""

from __future__ import annotations

import hmac
from collections.abc import Mapping

import msgspec

from userproxy.standalone.rbac import Attributes, Rules
from userproxy.standalone.selectors import named_by_fields
from userproxy.standalone.statuses import Refusal, forbidden_request, unauthorized
from userproxy.standalone.targets import Target, UnknownPath, parse_target

PUBLIC_PATHS = frozenset(("/version", "/version/", "/healthz", "/livez", "/readyz"))
ANONYMOUS = "system:anonymous"
ADMINISTRATOR = "userproxy"
"""Who holds the token, or uses a server that demands none."""
_VERBS = {"POST": "create", "PUT": "update", "PATCH": "patch"}
REVIEW_GROUP = "authorization.k8s.io"


class Access:
    """Demands a bearer token, or nothing when `token` is empty; then what `rules` allow, or everything without rules."""

    def __init__(self, token: str = "", rules: Rules | None = None) -> None:
        self._token = token.encode()
        self.rules = rules

    @property
    def user(self) -> str:
        """Whose rights all requests have."""
        return ADMINISTRATOR if self.rules is None else self.rules.user

    def allows(self, asked: Attributes) -> bool:
        """Return whether the rules allow something."""
        return self.rules is None or self.rules.allows(asked)

    def check(self, method: str, path: str, query: Mapping[str, str], header: str) -> Refusal | None:
        """Return the refusal for a request with this Authorization header, None when it may pass."""
        if path in PUBLIC_PATHS:
            return None
        if self._token:
            scheme, _space, token = header.strip().partition(" ")
            if scheme.lower() != "bearer":
                return forbidden(attributes(method, path, query), ANONYMOUS)
            given = token.strip().encode("utf-8", "surrogateescape")
            if not hmac.compare_digest(given, self._token):
                return unauthorized()
        return None if self.rules is None else self.check_right(attributes(method, path, query))

    def check_right(self, asked: Attributes) -> Refusal | None:
        """Return the refusal for something that the rules do not allow, None when they do."""
        return None if self.allows(asked) else forbidden(asked, self.user)

    def check_creation(self, target: Target) -> Refusal | None:
        """Return the refusal for a write that would create what is not there; PUT and apply alone do not give that right."""
        return None if self.rules is None else self.check_right(_about("create", target))


def attributes(method: str, path: str, query: Mapping[str, str]) -> Attributes:
    """Return what a request asks for."""
    try:
        target = parse_target(path)
    except (UnknownPath, Refusal):
        return _of_unknown(method, path) or Attributes(_VERBS.get(method, method.lower()), path=path)
    asked = _about(_verb(method, target, query), target)
    if asked.verb in ("list", "watch", "deletecollection") and not asked.name:
        return msgspec.structs.replace(asked, name=named_by_fields(query.get("fieldSelector", "")))
    return asked


def _about(verb: str, target: Target) -> Attributes:
    kind = target.kind
    # the namespace of a Namespace is itself
    namespace = target.namespace or (target.name if kind.resource == "namespaces" else "")
    return Attributes(verb, kind.group, kind.plural, target.subresource, namespace, target.name)


def _of_unknown(method: str, path: str) -> Attributes | None:
    """Return what a path below /apis or /api asks for that names nothing stored here, None for other paths."""
    parts = path.removesuffix("/").split("/")[1:]
    if parts[0] == "api" and len(parts) > 2:
        group, rest = "", parts[2:]
    elif parts[0] == "apis" and len(parts) > 3:
        group, rest = parts[1], parts[3:]
    else:
        return None
    namespace = ""
    if rest[0] == "namespaces" and len(rest) > 2:
        namespace, rest = rest[1], rest[2:]
    resource, name, subresource, *_more = (*rest, "", "")
    verb = _VERBS.get(method, method.lower())
    if method == "GET" and not name:
        verb = "list"
    return Attributes(verb, group, resource, subresource, namespace, name)


def forbidden(asked: Attributes, user: str) -> Refusal:
    """Return what a request is told that a user has no right to."""
    if asked.path:
        return forbidden_request(f'forbidden: User "{user}" cannot {asked.verb} path "{asked.path[:200]}"')
    qualified = f"{asked.resource}.{asked.group}" if asked.group else asked.resource
    shown = f'{qualified} "{asked.name}"' if asked.name else qualified
    resource = f"{asked.resource}/{asked.subresource}" if asked.subresource else asked.resource
    where = f'in the namespace "{asked.namespace}"' if asked.namespace else "at the cluster scope"
    text = (
        f'{shown} is forbidden: User "{user}" cannot {asked.verb} resource "{resource}" '
        f'in API group "{asked.group}" {where}'
    )
    details = {"name": asked.name} if asked.name else {}
    if asked.group:
        details["group"] = asked.group
    return Refusal(403, "Forbidden", text, {**details, "kind": asked.resource})


def _verb(method: str, target: Target, query: Mapping[str, str]) -> str:
    if method == "DELETE":
        return "delete" if target.name else "deletecollection"
    if method != "GET":
        return _VERBS.get(method, method.lower())
    if target.old_watch or query.get("watch", "").lower() in ("1", "true"):
        return "watch"
    return "get" if target.name else "list"
