"""Refusals of the API server as `Status` objects, worded as a real Kubernetes server words them.

Owns codes, reasons and texts. Knows nothing of HTTP beyond the code and a few headers; who finds the fault raises a
`Refusal`, the server turns it into an answer, the manifests reader into a line that names the file.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any, Protocol

import msgspec

from userproxy.errors import UserproxyError
from userproxy.standalone.objects import Json


class Cause(msgspec.Struct, frozen=True):
    """One fault of one field: `reason` is Kubernetes' word, `field` the path such as `spec.ports[0].port`."""

    reason: str
    message: str
    field: str


class Named(Protocol):
    """What the texts need of a kind."""

    @property
    def group(self) -> str:
        """API group, empty for the core group."""

    @property
    def kind(self) -> str:
        """Such as `Service`."""

    @property
    def plural(self) -> str:
        """Such as `services`."""


class Refusal(UserproxyError):
    """A request that was refused; its text is the message of the Status object.

    `field` is the path of the first field at fault where there is one, for those who know its line in a file.
    """

    def __init__(
        self,
        code: int,
        reason: str,
        message: str,
        details: Json | None = None,
        *,
        retry_after: int = 0,
        continue_token: str = "",
        field: str = "",
    ) -> None:
        super().__init__(message)
        self.code = code
        self.reason = reason
        self.message = message
        self.details = details
        self.retry_after = retry_after
        self.continue_token = continue_token
        self.field = field

    def status(self) -> Json:
        """Return the Status object, keys in the order of the wire."""
        metadata = {"continue": self.continue_token} if self.continue_token else {}
        body: Json = {"kind": "Status", "apiVersion": "v1", "metadata": metadata, "status": "Failure"}
        body["message"] = self.message
        if self.reason:
            body["reason"] = self.reason
        if self.details is not None:
            body["details"] = self.details
        body["code"] = self.code
        return body


def success(kind: Named, name: str, uid: str) -> Json:
    """Return the Status that answers a DELETE of kinds that do not answer with the object."""
    details: Json = {"name": name}
    if kind.group:
        details["group"] = kind.group
    details |= {"kind": kind.plural, "uid": uid}
    return {"kind": "Status", "apiVersion": "v1", "metadata": {}, "status": "Success", "details": details}


# ---- causes ------------------------------------------------------------------------------------------------------


def _shown(value: Any) -> str:
    return json.dumps(value, separators=(",", ":"), ensure_ascii=False)


def required(field: str, detail: str = "") -> Cause:
    """A field that must be there is not."""
    return Cause("FieldValueRequired", "Required value" + (f": {detail}" if detail else ""), field)


def invalid(field: str, value: Any, detail: str) -> Cause:
    """A value that cannot be used."""
    return Cause("FieldValueInvalid", f"Invalid value: {_shown(value)}: {detail}", field)


def unsupported(field: str, value: Any, supported: Sequence[str]) -> Cause:
    """A value outside a fixed set."""
    allowed = ", ".join(_shown(item) for item in supported)
    message = f"Unsupported value: {_shown(value)}: supported values: {allowed}"
    return Cause("FieldValueNotSupported", message, field)


def forbidden(field: str, detail: str) -> Cause:
    """A field that may not be set here."""
    return Cause("FieldValueForbidden", f"Forbidden: {detail}", field)


def duplicate(field: str, value: Any) -> Cause:
    """A value that must be unique and is not."""
    return Cause("FieldValueDuplicate", f"Duplicate value: {_shown(value)}", field)


def too_many(field: str, count: int, limit: int) -> Cause:
    """A list that is too long."""
    return Cause("FieldValueTooMany", f"Too many: {count}: must have at most {limit} items", field)


# ---- refusals ----------------------------------------------------------------------------------------------------


def _details(kind: Named, name: str, resource: str) -> Json:
    details: Json = {"name": name}
    if kind.group:
        details["group"] = kind.group
    details["kind"] = resource
    return details


def _qualified(kind: Named, resource: str) -> str:
    return f"{resource}.{kind.group}" if kind.group else resource


def unprocessable(kind: Named, name: str, causes: Sequence[Cause]) -> Refusal:
    """422 with every cause; `causes` is not empty."""
    texts = [f"{cause.field}: {cause.message}" for cause in causes]
    listed = texts[0] if len(texts) == 1 else "[" + ", ".join(texts) + "]"
    details = _details(kind, name, kind.kind)
    if not name:
        del details["name"]
    details["causes"] = [
        {"reason": cause.reason, "message": cause.message, "field": cause.field} for cause in causes
    ]
    text = f'{_qualified(kind, kind.kind)} "{name}" is invalid: {listed}'
    return Refusal(422, "Invalid", text, details, field=causes[0].field)


class _Options(msgspec.Struct, frozen=True):
    kind: str
    group: str = "meta.k8s.io"
    plural: str = ""


def bad_options(options: str, cause: Cause) -> Refusal:
    """422 for query parameters that contradict each other; `options` is such as `ListOptions`."""
    return unprocessable(_Options(options), "", [cause])


def not_found(kind: Named, name: str) -> Refusal:
    """404 for an object."""
    text = f'{_qualified(kind, kind.plural)} "{name}" not found'
    return Refusal(404, "NotFound", text, _details(kind, name, kind.plural))


def already_exists(kind: Named, name: str) -> Refusal:
    """409 on create."""
    text = f'{_qualified(kind, kind.plural)} "{name}" already exists'
    return Refusal(409, "AlreadyExists", text, _details(kind, name, kind.plural))


MODIFIED_SINCE = "the object has been modified; please apply your changes to the latest version and try again"


def conflict(kind: Named, name: str, why: str = MODIFIED_SINCE) -> Refusal:
    """409 for a write based on an old version."""
    text = f'Operation cannot be fulfilled on {_qualified(kind, kind.plural)} "{name}": {why}'
    return Refusal(409, "Conflict", text, _details(kind, name, kind.plural))


def precondition_failed(kind: Named, name: str, why: str) -> Refusal:
    """409 for a DELETE whose preconditions do not hold."""
    text = f'Operation cannot be fulfilled on {_qualified(kind, kind.kind)} "{name}": {why}'
    return Refusal(409, "Conflict", text, _details(kind, name, kind.kind))


def bad_request(message: str, field: str = "") -> Refusal:
    """400."""
    return Refusal(400, "BadRequest", message, field=field)


def internal(message: str) -> Refusal:
    """500; a real server uses it for a few faults of the client too, without a reason."""
    return Refusal(500, "", message)


def unknown_resource() -> Refusal:
    """404 for a path below a known group."""
    return Refusal(404, "NotFound", "the server could not find the requested resource", {})


def method_not_allowed() -> Refusal:
    """405."""
    text = "the server does not allow this method on the requested resource"
    return Refusal(405, "MethodNotAllowed", text, {})


def unsupported_media(accepted: Sequence[str]) -> Refusal:
    """415, naming what is taken."""
    text = "the body of the request was in an unknown format - accepted media types include: "
    return Refusal(415, "UnsupportedMediaType", text + ", ".join(accepted))


def unsupported_patch(accepted: Sequence[str]) -> Refusal:
    """415 for a patch type, naming those that are taken (a real server does not name them)."""
    text = "415: Unsupported Media Type, supported patch types: " + ", ".join(accepted)
    return Refusal(415, "UnsupportedMediaType", text, {})


def not_acceptable(offered: Sequence[str]) -> Refusal:
    """406."""
    text = "only the following media types are accepted: " + ", ".join(offered)
    return Refusal(406, "NotAcceptable", text)


def too_large(limit: int) -> Refusal:
    """413; `limit` in bytes."""
    return Refusal(413, "RequestEntityTooLarge", f"Request entity too large: limit is {limit}")


def forbidden_request(message: str) -> Refusal:
    """403."""
    return Refusal(403, "Forbidden", message, {})


def unauthorized() -> Refusal:
    """401, for credentials that are wrong; a request without any is a matter of rights (403)."""
    return Refusal(401, "Unauthorized", "Unauthorized")


def expired_list() -> Refusal:
    """410 for a list of an exact version that is no longer known."""
    return Refusal(410, "Expired", "The resourceVersion for the provided list is too old.")


def expired_continue(token: str) -> Refusal:
    """410 for a continue token; `token` goes on from the same place with what is there now."""
    text = (
        "The provided continue parameter is too old to display a consistent list result. You can start a new list "
        "without the continue parameter, or use the continue token in this response to retrieve the remainder of the "
        "results. Continuing with the provided token results in an inconsistent list - objects that were created, "
        "modified, or deleted between the time the first chunk was returned and now may show up in the list."
    )
    return Refusal(410, "Expired", text, continue_token=token)


def expired_watch(version: int, oldest: int) -> Refusal:
    """410 inside a watch stream; `oldest` is the first version still known."""
    return Refusal(410, "Expired", f"too old resource version: {version} ({oldest})")


def version_too_large(version: int, current: int) -> Refusal:
    """504 for a version from the future."""
    cause = {"reason": "ResourceVersionTooLarge", "message": "Too large resource version"}
    text = f"Timeout: Too large resource version: {version}, current: {current}"
    return Refusal(504, "Timeout", text, {"causes": [cause], "retryAfterSeconds": 1}, retry_after=1)
