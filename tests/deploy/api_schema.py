"""Kubernetes objects checked against the API's own schema (v1.36), as the client library carries it.

Owns the strict reading: unknown fields, wrong types and missing required fields are all errors, as with
`kubectl apply --validate=strict`. The schema is kubernetes_asyncio's models, which are generated from the API's OpenAPI.
"""

from __future__ import annotations

import re
from typing import Any

from kubernetes_asyncio.client import models

KINDS = {
    ("v1", "ConfigMap"): "V1ConfigMap",
    ("v1", "Pod"): "V1Pod",
    ("v1", "Service"): "V1Service",
    ("v1", "ServiceAccount"): "V1ServiceAccount",
    ("apps/v1", "DaemonSet"): "V1DaemonSet",
    ("apps/v1", "Deployment"): "V1Deployment",
    ("rbac.authorization.k8s.io/v1", "ClusterRole"): "V1ClusterRole",
    ("rbac.authorization.k8s.io/v1", "ClusterRoleBinding"): "V1ClusterRoleBinding",
}
SCALARS = {"str": str, "int": int, "bool": bool, "float": (int, float)}


def complaints(item: dict[str, Any]) -> list[str]:
    """Return what is wrong with an object, one line each; empty when the API would take it."""
    kind = (item.get("apiVersion", ""), item.get("kind", ""))
    if kind not in KINDS:
        return [f"{kind[0]} {kind[1]}: a kind that is not known here"]
    found: list[str] = []
    _check(item, KINDS[kind], f"{kind[1]}", found)
    return found


def _check(value: Any, wanted: str, where: str, found: list[str]) -> None:
    if listed := re.fullmatch(r"list\[(.+)\]", wanted):
        _check_items(value, listed[1], where, found)
    elif mapped := re.fullmatch(r"dict\(str, (.+)\)", wanted):
        if not isinstance(value, dict):
            found.append(f"{where}: {value!r} is not a map")
            return
        for name, one in value.items():
            _check(one, mapped[1], f"{where}.{name}", found)
    elif wanted in SCALARS:
        right = isinstance(value, SCALARS[wanted]) and (wanted == "bool" or not isinstance(value, bool))  # type: ignore[arg-type]
        if not right:
            found.append(f"{where}: {value!r} is not {wanted}")
    elif wanted not in ("object", "datetime"):
        _check_model(value, wanted, where, found)


def _check_items(value: Any, wanted: str, where: str, found: list[str]) -> None:
    if not isinstance(value, list):
        found.append(f"{where}: {value!r} is not a list")
        return
    for number, one in enumerate(value):
        _check(one, wanted, f"{where}[{number}]", found)


def _check_model(value: Any, wanted: str, where: str, found: list[str]) -> None:
    model = getattr(models, wanted)
    if not isinstance(value, dict):
        found.append(f"{where}: {value!r} is not an object")
        return
    names = {shown: name for name, shown in model.attribute_map.items()}
    found += [f"{where}.{shown}: no such field in {wanted}" for shown in sorted(value.keys() - names.keys())]
    known = {names[shown]: one for shown, one in value.items() if shown in names}
    try:
        model(**known)  # its setters demand what is required
    except ValueError as error:
        found.append(f"{where}: {error}")
    for name, one in known.items():
        _check(one, model.openapi_types[name], f"{where}.{model.attribute_map[name]}", found)
