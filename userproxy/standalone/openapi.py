"""OpenAPI v3 documents of the kinds, for `kubectl apply` (validation), `kubectl explain` and editors.

Owns the translation of shapes to schemas; everything comes from the table of kinds. Served below /openapi/v3.
"""

from __future__ import annotations

import functools
import hashlib

import msgspec

from userproxy.standalone.discovery import KUBERNETES
from userproxy.standalone.kinds import GROUPS, KINDS, Kind
from userproxy.standalone.objects import Json
from userproxy.standalone.schema import Shape, Type

ROOT = "/openapi/v3"
V2_PATH = "/openapi/v2"
V2_PROTOBUF = "application/com.github.proto-openapi.spec.v2@v1.0+protobuf"
_SCALARS: dict[Type, Json] = {
    Type.STRING: {"type": "string"},
    Type.TIME: {"type": "string", "format": "date-time"},
    Type.INT32: {"type": "integer", "format": "int32"},
    Type.INT64: {"type": "integer", "format": "int64"},
    Type.BOOL: {"type": "boolean"},
    Type.INT_OR_STRING: {
        "format": "int-or-string",
        "oneOf": [{"type": "integer"}, {"type": "string"}],
    },
    Type.QUANTITY: {"oneOf": [{"type": "string"}, {"type": "number"}]},
    Type.ANY: {"x-kubernetes-preserve-unknown-fields": True},
}
_NAMED = {
    Type.INT_OR_STRING: "io.k8s.apimachinery.pkg.util.intstr.IntOrString",
    Type.QUANTITY: "io.k8s.apimachinery.pkg.api.resource.Quantity",
    Type.TIME: "io.k8s.apimachinery.pkg.apis.meta.v1.Time",
}
"""Scalars that have a name of their own, which `kubectl explain` shows."""
_WRITE_PARAMETERS = ("dryRun", "fieldManager", "fieldValidation")


def version_2(*, protobuf: bool) -> bytes:
    """Return the document of the older version: a title and no definitions.

    kubectl asks for it before it writes a `kind: List`, and leaves to the server the check of what is not defined there.
    In protobuf it is gnostic's openapi_v2.Document: swagger = 1, info = 2 with title = 1 and version = 2.
    """
    if not protobuf:
        info = {"title": "Kubernetes", "version": KUBERNETES}
        return msgspec.json.encode({"swagger": "2.0", "info": info, "paths": {}, "definitions": {}})
    info_fields = _protobuf_text(1, "Kubernetes") + _protobuf_text(2, KUBERNETES)
    return _protobuf_text(1, "2.0") + b"\x12" + bytes([len(info_fields)]) + info_fields


def _protobuf_text(number: int, text: str) -> bytes:
    """Return a string field of at most 127 bytes."""
    return bytes([number << 3 | 2, len(text)]) + text.encode()


def document(path: str) -> Json | None:
    """Return the document at a path, None when there is none."""
    path = path.rstrip("/")
    if path == ROOT:
        return {"paths": {name: {"serverRelativeURL": _url(name)} for name in _names()}}
    name = path.removeprefix(f"{ROOT}/")
    return _group_document(name) if name != path and name in _names() else None


def _names() -> dict[str, tuple[str, str]]:
    names = {}
    for group, versions in GROUPS.items():
        for version in versions:
            names[f"apis/{group}/{version}" if group else f"api/{version}"] = (group, version)
    return names


def _url(name: str) -> str:
    digest = hashlib.sha512(msgspec.json.encode(_group_document(name))).hexdigest().upper()
    return f"{ROOT}/{name}?hash={digest}"


@functools.cache
def _group_document(name: str) -> Json:
    group, version = _names()[name]
    schemas: Json = {}
    paths: Json = {}
    for kind in KINDS:
        if (kind.group, kind.version) == (group, version):
            _define(kind.shape, _prefix(kind), schemas)
            schemas[_prefix(kind) + kind.kind]["x-kubernetes-group-version-kind"] = [_gvk(kind)]
            paths |= _paths(kind, name)
    info = {"title": "Kubernetes", "version": KUBERNETES}
    return {"openapi": "3.0.0", "info": info, "paths": paths, "components": {"schemas": schemas}}


def _gvk(kind: Kind) -> Json:
    return {"group": kind.group, "version": kind.version, "kind": kind.kind}


def _prefix(kind: Kind) -> str:
    return f"io.k8s.api.{kind.group.partition('.')[0] or 'core'}.{kind.version}."


def _paths(kind: Kind, name: str) -> Json:
    schema = {"$ref": f"#/components/schemas/{_prefix(kind)}{kind.kind}"}
    content = {"application/json": {"schema": schema}}
    parameters = [
        {"name": parameter, "in": "query", "schema": {"type": "string", "uniqueItems": True}}
        for parameter in _WRITE_PARAMETERS
    ]

    def operation(verb: str, *, writes: bool = False) -> Json:
        made: Json = {
            "description": f"{verb} {kind.kind}",
            "responses": {"200": {"description": "OK", "content": content}},
            "x-kubernetes-action": verb,
            "x-kubernetes-group-version-kind": _gvk(kind),
        }
        if writes:
            made |= {"parameters": parameters, "requestBody": {"content": content}}
        return made

    scope = "/namespaces/{namespace}" if kind.namespaced else ""
    collection = f"/{name}{scope}/{kind.plural}"
    paths: Json = {
        collection: {"get": operation("list"), "post": operation("post", writes=True)},
        f"{collection}/{{name}}": {
            "get": operation("get"),
            "put": operation("put", writes=True),
            "patch": operation("patch", writes=True),
            "delete": operation("delete"),
        },
    }
    if kind.namespaced:
        paths[f"/{name}/{kind.plural}"] = {"get": operation("list")}
    return paths


def _define(shape: Shape, prefix: str, schemas: Json) -> Json:
    """Return the schema of a shape; structs are put into `schemas` and named by reference."""
    if shape.type is Type.STRUCT:
        key = prefix + shape.name
        if key not in schemas:
            schemas[key] = schema = {"type": "object"}
            if shape.doc:
                schema["description"] = shape.doc
            properties = {name: _field(field, prefix, schemas) for name, field in shape.fields.items()}
            if properties:
                schemas[key]["properties"] = properties
            if shape.is_open:
                schemas[key]["x-kubernetes-preserve-unknown-fields"] = True
        return {"$ref": f"#/components/schemas/{key}"}
    if shape.type is Type.LIST and shape.item is not None:
        return {"type": "array", "items": _define(shape.item, prefix, schemas), **_list_keys(shape)}
    if shape.type is Type.MAP and shape.item is not None:
        return {"type": "object", "additionalProperties": _define(shape.item, prefix, schemas)}
    name = _NAMED.get(shape.type)
    if name is not None:
        schemas.setdefault(name, dict(_SCALARS[shape.type]))
        return {"$ref": f"#/components/schemas/{name}"}
    return dict(_SCALARS[shape.type])


def _field(shape: Shape, prefix: str, schemas: Json) -> Json:
    schema = _define(shape, prefix, schemas)
    if "$ref" in schema:  # nothing may stand beside a reference
        schema = {"allOf": [schema]} if shape.type in _NAMED else {"allOf": [schema], "default": {}}
    return {"description": shape.doc, **schema} if shape.doc else schema


def _list_keys(shape: Shape) -> Json:
    keys: Json = {}
    if shape.merge_key:
        keys["x-kubernetes-patch-strategy"] = "merge"
        if shape.merge_key != "-":
            keys["x-kubernetes-patch-merge-key"] = shape.merge_key
    if shape.list_keys:
        keys |= {"x-kubernetes-list-type": "map", "x-kubernetes-list-map-keys": list(shape.list_keys)}
    else:
        keys["x-kubernetes-list-type"] = "set" if shape.is_set else "atomic"
    return keys
