"""Bytes and media types: how objects are written to clients and how request bodies are read.

Owns the JSON form of a real server (one line, indented for people), the choice of a representation by Accept, and the
media types of bodies. What the representations hold is in `views`.
"""

from __future__ import annotations

import enum
import functools
from typing import Any

import msgspec
import yaml

from userproxy.files.yamltext import YamlFault, read_documents
from userproxy.standalone import protobuf
from userproxy.standalone.objects import Json, new_uid
from userproxy.standalone.statuses import bad_request, not_acceptable, unsupported_media

JSON_TYPE, YAML_TYPE = "application/json", "application/yaml"
ANSWER_TYPES = (JSON_TYPE, YAML_TYPE)
BODY_TYPES = (*ANSWER_TYPES, protobuf.MEDIA_TYPE)
_ESCAPES = (
    (b"<", b"\\u003c"),
    (b">", b"\\u003e"),
    (b"&", b"\\u0026"),
    ("\u2028".encode(), b"\\u2028"),
    ("\u2029".encode(), b"\\u2029"),
)
"""Go's encoder escapes these. They occur in strings only, so replacing bytes of encoded JSON is safe."""
_PEOPLE = ("curl", "Wget", "Mozilla/5.0")
"""User agents that get indented JSON."""


class View(enum.Enum):
    """What a client wants to see of an object."""

    OBJECT = ""
    PARTIAL = "PartialObjectMetadata"
    TABLE = "Table"


class Format(msgspec.Struct, frozen=True):
    """The form of an answer. `include` is what the rows of a table hold: Metadata, Object or None."""

    view: View = View.OBJECT
    include: str = "Metadata"
    as_yaml: bool = False
    pretty: bool = False

    @property
    def content_type(self) -> str:
        """What stands in Content-Type."""
        return YAML_TYPE if self.as_yaml else JSON_TYPE


def encode(value: Any) -> bytes:
    """Return JSON in one line without a newline, escaped as Go does."""
    text = msgspec.json.encode(value)
    for plain, escaped in _ESCAPES:
        if plain in text:
            text = text.replace(plain, escaped)
    return text


def write(value: Any, form: Format) -> bytes:
    """Return a whole body."""
    if form.as_yaml:
        return yaml.safe_dump(value, sort_keys=True, allow_unicode=True, default_flow_style=False).encode()
    if form.pretty:
        return msgspec.json.format(encode(value), indent=2)
    return encode(value) + b"\n"


def common_headers() -> tuple[tuple[str, str], ...]:
    """Return the headers that every answer has."""
    return (("Audit-Id", new_uid()), ("Cache-Control", "no-cache, private"))


@functools.lru_cache(maxsize=256)
def choose_format(accept: str, user_agent: str, pretty: str | None = None, include: str = "") -> Format:
    """Return the form that a client asks for by headers, `pretty` and `includeObject`. Raises Refusal (400, 406)."""
    if include not in ("", "Metadata", "Object", "None"):
        raise bad_request(f"unrecognized includeObject value: {include[:40]!r}")
    include = include or "Metadata"
    indented = user_agent.startswith(_PEOPLE) if pretty is None else pretty.lower() not in ("0", "false")
    for clause in (accept or "*/*").split(","):
        media, *parameters = (part.strip() for part in clause.split(";"))
        given = dict(parameter.partition("=")[::2] for parameter in parameters)
        view = _view(given)
        if view is None:
            continue
        if media in (JSON_TYPE, "*/*", "application/*"):
            return Format(view, include, pretty=indented)
        if media == YAML_TYPE:
            return Format(view, include, as_yaml=True)
    raise not_acceptable(ANSWER_TYPES)


def _view(parameters: dict[str, str]) -> View | None:
    wanted = parameters.get("as", "")
    if not wanted:
        return View.OBJECT
    versions = ("v1", "v1beta1") if wanted == View.TABLE.value else ("v1",)
    if parameters.get("g") != "meta.k8s.io" or parameters.get("v") not in versions:
        return None
    wanted = wanted.removesuffix("List") if wanted.startswith(View.PARTIAL.value) else wanted
    return next((view for view in View if view.value == wanted), None)


def read_body(body: bytes, content_type: str, kind: str) -> Any:
    """Return the JSON value of a body that shall hold an object of a kind. Raises Refusal (400, 415)."""
    media = media_type(content_type)
    if media in ("", JSON_TYPE):
        return read_json(
            body, f"the object provided is unrecognized (must be of type {kind}): couldn't get version/kind; "
        )
    if media == YAML_TYPE:
        return read_yaml(body, f"error converting YAML to JSON for a {kind}: ")
    if media == protobuf.MEDIA_TYPE:
        return read_protobuf(body, kind).value
    raise unsupported_media(BODY_TYPES)


def media_type(content_type: str) -> str:
    """Return the media type that a Content-Type header names, without its parameters."""
    return content_type.partition(";")[0].strip().lower()


def read_protobuf(body: bytes, kind: str) -> protobuf.Decoded:
    """Return the value of a body in protobuf that shall hold an object of a kind. Raises Refusal (400)."""
    try:
        return protobuf.decode(body)
    except protobuf.ProtobufFault as fault:
        raise bad_request(f"the object provided is unrecognized (must be of type {kind}): {fault}") from fault


def read_json(body: bytes, before: str = "") -> Any:
    """Return the value of JSON text; `before` begins the text of the refusal (400)."""
    try:
        return msgspec.json.decode(body)
    except (msgspec.DecodeError, RecursionError, UnicodeDecodeError) as fault:
        shown = body[:60].decode("utf-8", "replace") if body else "<empty>"
        raise bad_request(f"{before}json parse error: {fault} ({shown})") from fault


def read_yaml(body: bytes, before: str = "") -> Any:
    """Return the value of the first document of YAML text; `before` begins the text of the refusal (400)."""
    try:
        text = body.decode()
        return next((document.value for document in read_documents(text)), None)
    except YamlFault as fault:
        raise bad_request(f"{before}yaml: line {fault.line}: {fault}") from fault
    except UnicodeDecodeError as fault:
        raise bad_request(f"{before}yaml: not UTF-8") from fault


def partial(item: Json) -> Json:
    """Return an object's metadata alone."""
    return {"kind": View.PARTIAL.value, "apiVersion": "meta.k8s.io/v1", "metadata": item["metadata"]}
