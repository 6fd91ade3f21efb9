"""`metadata` of every object: its shape, and what names, labels and annotations may look like.

Owns the rules that all kinds share. Rules of one kind are in the module of that kind. Source: apimachinery's
validation (`k8s.io/apimachinery/pkg/util/validation`, `pkg/api/validation/objectmeta.go`).
"""

from __future__ import annotations

import functools
import re
from collections.abc import Callable

from userproxy.standalone.objects import Json
from userproxy.standalone.schema import (
    ANY,
    BOOL,
    INT64,
    STRING,
    TIME,
    Shape,
    Type,
    always,
    atomic,
    listing,
    mapping,
    pointer,
    said,
    struct,
)
from userproxy.standalone.statuses import Cause, invalid, required

OWNER_REFERENCE = atomic(
    struct(
        "OwnerReference",
        apiVersion=always(STRING),
        kind=always(STRING),
        name=always(STRING),
        uid=always(STRING),
        controller=pointer(BOOL),
        blockOwnerDeletion=pointer(BOOL),
    )
)

MANAGED_FIELDS = struct(
    "ManagedFieldsEntry",
    manager=STRING,
    operation=STRING,
    apiVersion=STRING,
    time=TIME,
    fieldsType=STRING,
    fieldsV1=ANY,
    subresource=STRING,
)

METADATA = struct(
    "ObjectMeta",
    name=said(STRING, "Name, unique within a namespace and kind."),
    generateName=said(STRING, "Prefix for a name that the server makes."),
    namespace=said(STRING, "Namespace of the object; it must exist."),
    selfLink=STRING,
    uid=said(STRING, "Set by the server; another object of the same name has another one."),
    resourceVersion=said(
        STRING, "Version of this state; give it with a PUT to refuse overwriting a newer one."
    ),
    generation=said(INT64, "Counts the changes of what is wanted, for kinds that have it."),
    creationTimestamp=TIME,
    deletionTimestamp=TIME,
    deletionGracePeriodSeconds=pointer(INT64),
    labels=said(mapping(), "Keys and values that selectors look at."),
    annotations=said(mapping(), "Keys and values that selectors do not look at."),
    ownerReferences=listing(OWNER_REFERENCE, merge_key="uid", list_keys=("uid",)),
    finalizers=Shape(Type.LIST, item=STRING, is_set=True, merge_key="-"),
    managedFields=listing(MANAGED_FIELDS),
)

TARGET_REF = atomic(
    struct(
        "ObjectReference",
        kind=STRING,
        namespace=STRING,
        name=STRING,
        uid=STRING,
        apiVersion=STRING,
        resourceVersion=STRING,
        fieldPath=STRING,
    )
)

CONDITION = struct(
    "Condition",
    type=always(STRING),
    status=always(STRING),
    observedGeneration=INT64,
    lastTransitionTime=always(TIME),
    reason=always(STRING),
    message=always(STRING),
)


def top_level(kind: str, doc: str, /, **fields: Shape) -> Shape:
    """Return the shape of an object: kind, apiVersion and metadata before its own fields."""
    head = {"kind": always(STRING), "apiVersion": always(STRING), "metadata": always(METADATA)}
    return said(struct(kind, **head, **fields), doc)


_LABEL = re.compile(r"[a-z0-9]([-a-z0-9]*[a-z0-9])?")
_SUBDOMAIN = re.compile(r"[a-z0-9]([-a-z0-9]*[a-z0-9])?(\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*")
_QUALIFIED = re.compile(r"([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9]")
_LABEL_VALUE = re.compile(r"(([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9])?")

LABEL_RULE = (
    "a lowercase RFC 1123 label must consist of lower case alphanumeric characters or '-', and must start and end with "
    "an alphanumeric character (e.g. 'my-name',  or '123-abc', regex used for validation is "
    "'[a-z0-9]([-a-z0-9]*[a-z0-9])?')"
)
SUBDOMAIN_RULE = (
    "a lowercase RFC 1123 subdomain must consist of lower case alphanumeric characters, '-' or '.', and must start and "
    "end with an alphanumeric character (e.g. 'example.com', regex used for validation is "
    "'[a-z0-9]([-a-z0-9]*[a-z0-9])?(\\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*')"
)
_QUALIFIED_RULE = (
    "name part must consist of alphanumeric characters, '-', '_' or '.', and must start and end with an alphanumeric "
    "character (e.g. 'MyName',  or 'my.name',  or '123-abc', regex used for validation is "
    "'([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9]')"
)
_LABEL_VALUE_RULE = (
    "a valid label must be an empty string or consist of alphanumeric characters, '-', '_' or '.', and must start and "
    "end with an alphanumeric character (e.g. 'MyValue',  or 'my_value',  or '12345', regex used for validation is "
    "'(([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9])?')"
)
ANNOTATIONS_LIMIT = 256 * 1024
"""Bytes of all annotation keys and values of one object together, as a real server bounds them."""


def dns_label(text: str) -> tuple[str, ...]:
    """Return what is wrong with `text` as an RFC 1123 label, nothing when it is fine."""
    if len(text) <= 63 and _LABEL.fullmatch(text):
        return ()
    faults = []
    if len(text) > 63:
        faults.append("must be no more than 63 characters")
    if not _LABEL.fullmatch(text):
        faults.append(LABEL_RULE)
    return tuple(faults)


def dns_subdomain(text: str) -> tuple[str, ...]:
    """Return what is wrong with `text` as an RFC 1123 subdomain."""
    if len(text) <= 253 and _SUBDOMAIN.fullmatch(text):
        return ()
    faults = []
    if len(text) > 253:
        faults.append("must be no more than 253 characters")
    if not _SUBDOMAIN.fullmatch(text):
        faults.append(SUBDOMAIN_RULE)
    return tuple(faults)


def qualified_name(text: str) -> tuple[str, ...]:
    """Return what is wrong with `text` as a label key or similar: `name` or `prefix.example/name`."""
    # what is too long to be one is not remembered
    return (_qualified_name if len(text) <= 317 else _qualified_name.__wrapped__)(text)


@functools.lru_cache(maxsize=4096)
def _qualified_name(text: str) -> tuple[str, ...]:
    prefix, slash, name = text.rpartition("/")
    faults = []
    if slash:
        faults = [
            f"prefix part {fault}" for fault in (dns_subdomain(prefix) if prefix else ["must be non-empty"])
        ]
    if not name:
        faults.append("name part must be non-empty")
    elif len(name) > 63:
        faults.append("name part must be no more than 63 characters")
    if not _QUALIFIED.fullmatch(name):
        faults.append(_QUALIFIED_RULE)
    return tuple(faults)


def label_value(text: str) -> tuple[str, ...]:
    """Return what is wrong with `text` as the value of a label."""
    if len(text) <= 63 and _LABEL_VALUE.fullmatch(text):
        return ()
    faults = []
    if len(text) > 63:
        faults.append("must be no more than 63 characters")
    if not _LABEL_VALUE.fullmatch(text):
        faults.append(_LABEL_VALUE_RULE)
    return tuple(faults)


def check_labels(labels: dict[str, str], field: str) -> list[Cause]:
    """Return the faults of labels, or of a selector that is a plain map."""
    causes = []
    for key, value in labels.items():
        causes += [invalid(field, key, fault) for fault in qualified_name(key)]
        causes += [invalid(field, value, fault) for fault in label_value(value)]
    return causes


def check_metadata(metadata: Json, *, label_name: bool, old: Json | None = None) -> list[Cause]:
    """Return the faults of an object's metadata; `label_name` names are RFC 1123 labels, others subdomains.

    What is as it was in the stored object `old` has been checked before.
    """
    before = {} if old is None else old["metadata"]
    causes: list[Cause] = []
    if metadata.get("name") != before.get("name") or not before:
        causes += _check_names(metadata, dns_label if label_name else dns_subdomain)
    if metadata.get("labels") != before.get("labels"):
        causes += check_labels(metadata.get("labels", {}), "metadata.labels")
    if metadata.get("annotations") != before.get("annotations"):
        causes += _check_annotations(metadata.get("annotations", {}))
    if metadata.get("ownerReferences") != before.get("ownerReferences"):
        causes += [
            required(f"metadata.ownerReferences.{field}")
            for owner in metadata.get("ownerReferences", [])
            for field in ("apiVersion", "kind", "name", "uid")
            if not owner[field]
        ]
    return causes


def _check_names(metadata: Json, rule: Callable[[str], tuple[str, ...]]) -> list[Cause]:
    causes: list[Cause] = []
    prefix, name = metadata.get("generateName", ""), metadata.get("name", "")
    if prefix:
        stem = prefix.rstrip("-") or "-"
        causes += [invalid("metadata.generateName", prefix, fault) for fault in rule(stem)]
    if not name:
        causes.append(required("metadata.name", "name or generateName is required"))
    else:
        causes += [invalid("metadata.name", name, fault) for fault in rule(name)]
    return causes


def _check_annotations(annotations: dict[str, str]) -> list[Cause]:
    causes = [
        invalid("metadata.annotations", key, fault)
        for key in annotations
        for fault in qualified_name(key.lower())
    ]
    size = sum(len(key) + len(value) for key, value in annotations.items())
    if size > ANNOTATIONS_LIMIT:
        text = f"Too long: may not be more than {ANNOTATIONS_LIMIT} bytes"
        causes.append(Cause("FieldValueTooLong", text, "metadata.annotations"))
    return causes
