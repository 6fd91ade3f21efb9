"""Who may use the API: with a token whoever shows it, and everybody for what tells nothing (version and health).

Owns the check of the Authorization header and the refusals, worded as a real server words them. Where the token comes from is
in `credentials`; foreign hosts and origins are in `guard`.
"""

from __future__ import annotations

import hmac
from collections.abc import Mapping

from userproxy.standalone.statuses import Refusal, forbidden_request, unauthorized
from userproxy.standalone.targets import Target, UnknownPath, parse_target

PUBLIC_PATHS = frozenset(("/version", "/version/", "/healthz", "/livez", "/readyz"))
ANONYMOUS = "system:anonymous"
_VERBS = {"POST": "create", "PUT": "update", "PATCH": "patch"}


class TokenCheck:
    """Demands a bearer token, or nothing when `token` is empty."""

    def __init__(self, token: str) -> None:
        self._token = token.encode()

    def check(self, method: str, path: str, query: Mapping[str, str], header: str) -> Refusal | None:
        """Return the refusal for a request with this Authorization header, None when it may pass."""
        if not self._token or path in PUBLIC_PATHS:
            return None
        scheme, _space, token = header.strip().partition(" ")
        if scheme.lower() != "bearer":
            return _forbidden(method, path, query)
        given = token.strip().encode("utf-8", "surrogateescape")
        return None if hmac.compare_digest(given, self._token) else unauthorized()


def _forbidden(method: str, path: str, query: Mapping[str, str]) -> Refusal:
    """Return what a request without credentials is told."""
    try:
        target = parse_target(path)
    except (UnknownPath, Refusal):
        verb = _VERBS.get(method, method.lower())
        return forbidden_request(f'forbidden: User "{ANONYMOUS}" cannot {verb} path "{path[:200]}"')
    kind = target.kind
    qualified = f"{kind.plural}.{kind.group}" if kind.group else kind.plural
    shown = f'{qualified} "{target.name}"' if target.name else qualified
    resource = f"{kind.plural}/{target.subresource}" if target.subresource else kind.plural
    where = f'in the namespace "{target.namespace}"' if target.namespace else "at the cluster scope"
    text = (
        f'{shown} is forbidden: User "{ANONYMOUS}" cannot {_verb(method, target, query)} resource "{resource}" '
        f'in API group "{kind.group}" {where}'
    )
    details = {"name": target.name} if target.name else {}
    if kind.group:
        details["group"] = kind.group
    return Refusal(403, "Forbidden", text, {**details, "kind": kind.plural})


def _verb(method: str, target: Target, query: Mapping[str, str]) -> str:
    if method == "DELETE":
        return "delete" if target.name else "deletecollection"
    if method != "GET":
        return _VERBS.get(method, method.lower())
    if target.old_watch or query.get("watch", "").lower() in ("1", "true"):
        return "watch"
    return "get" if target.name else "list"
