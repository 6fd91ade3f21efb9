"""Questions about one's own rights: SelfSubjectAccessReview and SelfSubjectRulesReview (authorization.k8s.io/v1).

Owns their reading and their answers; nothing is stored. What is allowed is decided in `rbac`.
"""

from __future__ import annotations

from typing import Any

import msgspec

from userproxy.standalone import statuses
from userproxy.standalone.authorization import REVIEW_GROUP, Access
from userproxy.standalone.objects import Json
from userproxy.standalone.rbac import ALL, Attributes, Rule

API_VERSION = f"{REVIEW_GROUP}/v1"
PATH = f"/apis/{API_VERSION}/"
KINDS = {
    "selfsubjectaccessreviews": "SelfSubjectAccessReview",
    "selfsubjectrulesreviews": "SelfSubjectRulesReview",
}
"""Resource and kind."""
_EVERYTHING = (
    Rule(verbs=(ALL,), api_groups=(ALL,), resources=(ALL,)),
    Rule(verbs=(ALL,), non_resource_urls=(ALL,)),
)


class _Resource(msgspec.Struct, frozen=True):
    namespace: str = ""
    verb: str = ""
    group: str = ""
    resource: str = ""
    subresource: str = ""
    name: str = ""


class _Path(msgspec.Struct, frozen=True):
    path: str = ""
    verb: str = ""


class _Spec(msgspec.Struct, frozen=True, rename="camel"):
    resource_attributes: _Resource | None = None
    non_resource_attributes: _Path | None = None
    namespace: str = ""


def review(resource: str, body: Any, access: Access) -> Json:
    """Return a review with its answer filled in; `resource` is a key of KINDS. Raises Refusal (400, 422)."""
    kind = KINDS[resource]
    if not isinstance(body, dict) or body.get("kind", kind) != kind:
        raise statuses.bad_request(f"the object provided is unrecognized (must be of type {kind})")
    try:
        spec = msgspec.convert(body.get("spec") or {}, _Spec)
    except msgspec.ValidationError as fault:
        raise statuses.bad_request(f"{kind} in version v1 cannot be handled: {fault}") from fault
    answer = _rules(spec, access) if resource == "selfsubjectrulesreviews" else _decision(spec, access)
    head: Json = {"kind": kind, "apiVersion": API_VERSION, "metadata": {"creationTimestamp": None}}
    return {**head, "spec": body.get("spec") or {}, "status": answer}


def _decision(spec: _Spec, access: Access) -> Json:
    resource, path = spec.resource_attributes, spec.non_resource_attributes
    if (resource is None) == (path is None):
        text = "exactly one of nonResourceAttributes or resourceAttributes must be specified"
        cause = statuses.invalid("spec.resourceAttributes", None, text)
        raise statuses.unprocessable(_Named(), "", [cause])
    if resource is not None:
        asked = Attributes(
            resource.verb,
            resource.group,
            resource.resource,
            resource.subresource,
            resource.namespace,
            resource.name,
        )
    else:
        assert path is not None  # noqa: S101  # the other of two
        asked = Attributes(path.verb, path=path.path)
    return {"allowed": access.allows(asked)}


class _Named(msgspec.Struct, frozen=True):
    group: str = REVIEW_GROUP
    kind: str = "SelfSubjectAccessReview"
    plural: str = "selfsubjectaccessreviews"


def _rules(spec: _Spec, access: Access) -> Json:
    if not spec.namespace:
        raise statuses.bad_request("no namespace on request")
    rules = _EVERYTHING if access.rules is None else access.rules.effective(spec.namespace)
    return {
        "resourceRules": [_resource_rule(rule) for rule in rules if not rule.non_resource_urls],
        "nonResourceRules": [
            {"verbs": list(rule.verbs), "nonResourceURLs": list(rule.non_resource_urls)}
            for rule in rules
            if rule.non_resource_urls
        ],
        "incomplete": False,
    }


def _resource_rule(rule: Rule) -> Json:
    shown: Json = {
        "verbs": list(rule.verbs),
        "apiGroups": list(rule.api_groups),
        "resources": list(rule.resources),
    }
    if rule.resource_names:
        shown["resourceNames"] = list(rule.resource_names)
    return shown
