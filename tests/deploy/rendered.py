"""What admins apply, rendered by the tools that they use: kustomizations by kubectl.

Owns running them; what the result must say is the tests' business.
"""

from __future__ import annotations

import functools
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest
import yaml

ROOT = Path(__file__).parents[2]
DEPLOY = ROOT / "deploy"
OVERLAYS = ("alongside", "replace", "sidecar", "sidecar-redirect")
MANIFEST = DEPLOY / "userproxy.yaml"

HEADER = """\
# userproxy next to kube-proxy, in one command: kubectl apply -f deploy/userproxy.yaml
# It serves the Services labelled service.kubernetes.io/service-proxy-name=userproxy and touches no other.
# Made from kustomize/overlays/alongside by `python3 -m tests.deploy.generate`; a test keeps them equal.
"""

needs_kubectl = pytest.mark.skipif(shutil.which("kubectl") is None, reason="needs kubectl")


@functools.cache
def overlay_text(name: str) -> str:
    """Return what `kubectl kustomize` makes of an overlay."""
    command = ["kubectl", "kustomize", str(DEPLOY / "kustomize" / "overlays" / name)]
    return subprocess.run(command, check=True, capture_output=True, text=True, timeout=60).stdout


def overlay(name: str) -> list[dict[str, Any]]:
    """Return the objects of an overlay."""
    return list(yaml.safe_load_all(overlay_text(name)))


def manifest_text() -> str:
    """Return what deploy/userproxy.yaml must say."""
    return HEADER + overlay_text("alongside")


def one(items: list[dict[str, Any]], kind: str) -> dict[str, Any]:
    """Return the only object of a kind."""
    (found,) = [item for item in items if item["kind"] == kind]
    return found


def proxy_container(items: list[dict[str, Any]]) -> dict[str, Any]:
    """Return the container that runs userproxy."""
    (workload,) = [item for item in items if item["kind"] in ("DaemonSet", "Deployment")]
    pod = workload["spec"]["template"]["spec"]
    (found,) = [
        container
        for container in pod["containers"] + pod.get("initContainers", [])
        if container["name"] == "userproxy"
    ]
    return dict(found)


def granted(role: dict[str, Any]) -> set[tuple[str, str, str]]:
    """Return what a ClusterRole grants: API group, resource, verb."""
    return {
        (group, resource, verb)
        for rule in role["rules"]
        for group in rule["apiGroups"]
        for resource in rule["resources"]
        for verb in rule["verbs"]
    }


def settings(items: list[dict[str, Any]]) -> dict[str, Any]:
    """Return the settings in the ConfigMap that the proxy reads, without kind and version; empty when there is none."""
    files = [item["data"]["config.yaml"] for item in items if "config.yaml" in item.get("data", {})]
    found = yaml.safe_load(files[0]) if files else {}
    return {name: value for name, value in found.items() if name not in ("apiVersion", "kind")}
