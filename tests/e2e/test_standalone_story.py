"""A Service without Kubernetes from its manifest to its end: address allotted, Pod declared, probed, carried to, lost, back."""

from __future__ import annotations

import ipaddress
import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from tests.e2e.test_standalone import API, PLAIN, standalone
from tests.e2e.waiting import until
from tests.netns import Namespace, needs_netns, needs_programs

pytestmark = [pytest.mark.netns, needs_netns, needs_programs("nft", "setpriv", "curl")]

SERVICE = """
apiVersion: v1
kind: Service
metadata: {name: web}
spec:
  selector: {app: web}
  ports: [{port: 80, targetPort: http}]
"""
PODS = """
apiVersion: v1
kind: Pod
metadata: {name: web-1, labels: {app: web}}
spec:
  containers:
  - name: web
    ports: [{name: http, containerPort: 8080}]
    readinessProbe: {httpGet: {port: http, path: /}, periodSeconds: 1, failureThreshold: 1}
status: {phase: Running, podIP: 127.0.9.1}
"""
DEFAULT = f"{API}/api/v1/namespaces/default"
SLICES = f"{API}/apis/discovery.k8s.io/v1/namespaces/default/endpointslices"


def start_server(home: Namespace, folder: Path) -> subprocess.Popen[str]:
    return home.start(
        *(sys.executable, "-m", "http.server", "--bind", "127.0.9.1", "--directory", str(folder), "8080"),
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )


def test_from_the_manifest_to_the_end(tmp_path: Path) -> None:
    manifests, site = tmp_path / "manifests", tmp_path / "site"
    manifests.mkdir()
    site.mkdir()
    (site / "index.html").write_text("here")
    (manifests / "web.yaml").write_text(SERVICE)
    with standalone(tmp_path, PLAIN, "--manifests", str(manifests)) as demo:
        until(lambda: "Stop: Ctrl-C" in demo.output, 20)

        def ask(url: str) -> Any:
            return json.loads(demo.curl(url))

        def ready() -> list[bool]:
            items = ask(SLICES)["items"]
            return [entry["conditions"]["ready"] for item in items for entry in item["endpoints"] or []]

        address = ask(f"{DEFAULT}/services/web")["spec"]["clusterIP"]
        assert ipaddress.ip_address(address) in ipaddress.ip_network("10.96.0.0/16")

        def answer() -> str:
            return demo.curl("--max-time", "1", f"http://{address}/")

        # a Service without Pods has a slice that says so
        assert [item["endpoints"] for item in ask(SLICES)["items"]] == [None]
        (manifests / "pods.yaml").write_text(PODS)
        until(lambda: ready() == [False], 10)
        assert answer() == ""
        server = start_server(demo.home, site)
        until(lambda: answer() == "here", 10)
        server.terminate()
        server.wait(5)
        until(lambda: ready() == [False], 10)
        assert answer() == ""
        told = [
            (item["reason"], item["involvedObject"]["name"]) for item in ask(f"{DEFAULT}/events")["items"]
        ]
        assert ("Unhealthy", "web-1") in told
        server = start_server(demo.home, site)
        until(lambda: answer() == "here", 10)
        (manifests / "web.yaml").unlink()
        until(lambda: ask(SLICES)["items"] == [], 10)
        until(lambda: answer() == "", 5)
        assert demo.stop() == 0
