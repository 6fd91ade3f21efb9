"""The Helm chart: its schema and its list of live settings made from the code.

Owns what values may be. Settings come from Config, so the chart knows those of its version and no others.
"""

from __future__ import annotations

import dataclasses
import json
from typing import Any

import yaml

from tests.deploy.rendered import DEPLOY
from userproxy.config import settings_of
from userproxy.configfile.own_fields import field_name

CHART = DEPLOY / "helm" / "userproxy"
SCHEMA = CHART / "values.schema.json"
LIVE = CHART / "templates" / "_live.tpl"
OF_THE_POD = frozenset({"config", "kubeconfig", "master", "hostname_override", "sidecar"})
"""Settings that the DaemonSet itself has an answer to."""

DURATION = r"^\d+(\.\d+)?$|^(\d+(\.\d+)?(ms|s|m|h))+$"

Schema = dict[str, Any]
OBJECT: Schema = {"type": "object"}
TEXT: Schema = {"type": "string"}
YES_OR_NO: Schema = {"type": "boolean"}
LABELS: Schema = {"type": "object", "additionalProperties": {"type": "string"}}


def settings() -> list[dataclasses.Field[Any]]:
    """Return the settings that values may hold."""
    return [field for field in settings_of("run") if field.name not in OF_THE_POD]


def schema_text() -> str:
    """Return values.schema.json."""
    top = _object(
        mode={"enum": ["alongside", "replace"]},
        apiServer=_object(host=TEXT, port={"type": "integer", "minimum": 1, "maximum": 65535}),
        config=_object(**{field_name(field.name): setting_schema(field) for field in settings()}),
        image=_object(
            repository={"type": "string", "minLength": 1},
            tag=TEXT,
            pullPolicy={"enum": ["Always", "IfNotPresent", "Never"]},
        ),
        imagePullSecrets={"type": "array", "items": _object(name=TEXT)},
        nameOverride=TEXT,
        fullnameOverride=TEXT,
        serviceAccount=_object(create=YES_OR_NO, name=TEXT, annotations=LABELS),
        rbac=_object(create=YES_OR_NO),
        podAnnotations=LABELS,
        podLabels=LABELS,
        priorityClassName=TEXT,
        nodeSelector=LABELS,
        tolerations={"type": "array", "items": OBJECT},
        affinity=OBJECT,
        updateStrategy=OBJECT,
        terminationGracePeriodSeconds={"type": "integer", "minimum": 1},
        resources=OBJECT,
        podMonitor=_object(enabled=YES_OR_NO, interval=TEXT, labels=LABELS),
        prometheusRule=_object(enabled=YES_OR_NO, labels=LABELS),
        grafanaDashboard=_object(enabled=YES_OR_NO, labels=LABELS),
    )
    top["properties"]["global"] = OBJECT  # Helm's own, for charts of charts
    schema = {"$schema": "http://json-schema.org/draft-07/schema#", "title": "userproxy", **top}
    return json.dumps(schema, indent=2, ensure_ascii=False) + "\n"


def setting_schema(field: dataclasses.Field[Any]) -> Schema:
    """Return what a setting may be in values; the same that a UserproxyConfiguration takes."""
    told = {"description": field.metadata["text"]}
    if field.metadata["seconds"]:
        return {**told, "type": ["number", "string"], "minimum": 0, "pattern": DURATION}
    if isinstance(field.default, bool):
        return {**told, "type": "boolean", "default": field.default}
    if isinstance(field.default, int):
        return {**told, "type": "integer", "default": field.default}
    if field.metadata["choices"]:
        return {**told, "enum": list(field.metadata["choices"]), "default": field.default}
    return {
        **told,
        "type": ["string", "integer", "array"],
        "items": {"type": "string"},
        "default": field.default,
    }


def live_text() -> str:
    """Return the template that names the settings whose change needs no restart."""
    names = ",".join(field_name(field.name) for field in settings() if field.metadata["live"])
    return (
        "{{/* Settings whose change restarts nothing. Made by `python3 -m tests.deploy.generate`. */}}\n"
        f'{{{{- define "userproxy.liveSettings" -}}}}{names}{{{{- end -}}}}\n'
    )


def render(values: dict[str, Any] | None = None, name: str = "userproxy") -> list[dict[str, Any]]:
    """Return what `helm template` makes, after the check of the values. Raises HelmError."""
    import helm_python  # not on every machine

    with helm_python.Chart.load(CHART) as chart:
        chart.validate_schema(values)
        files = chart.render(values, name=name, namespace="kube-system")
    texts = [text for path, text in files.items() if path.endswith(".yaml")]
    return [item for text in texts for item in yaml.safe_load_all(text) if item]


def _object(**properties: Schema) -> Schema:
    return {"type": "object", "additionalProperties": False, "properties": properties}
