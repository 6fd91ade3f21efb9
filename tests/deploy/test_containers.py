"""The containers of each overlay do their work with the rights that they are given and no others.

Each runs as the kubelet would start it: its arguments and environment, its user and capabilities, a read-only root, the token
of its service account over HTTPS to the address that the override names, and an API server that grants its ClusterRole only.
"""

from __future__ import annotations

import contextlib
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest
import yaml

from tests.deploy.chart import render
from tests.deploy.container import MOUNTED, restricted
from tests.deploy.rendered import needs_kubectl, one, overlay, overlay_text, proxy_container, settings
from tests.e2e.agent import DRAIN, HEALTH_PORT, USERPROXY, Agent
from tests.e2e.child import ROOT
from tests.e2e.manifest import endpoint_slice
from tests.e2e.waiting import until
from tests.netns import Namespace, namespace, needs_netns, needs_programs
from userproxy.configfile.own_fields import API_VERSION, KIND

pytestmark = [
    needs_kubectl,
    pytest.mark.netns,
    needs_netns,
    needs_programs("nft", "setpriv", "unshare", "curl"),
]

OBJECTS = (
    """
apiVersion: v1
kind: Node
metadata: {name: e2e-node}
status: {addresses: [{type: InternalIP, address: 127.0.7.1}]}
---
apiVersion: v1
kind: Service
metadata: {name: web, annotations: {userproxy.dev/unknown: "1"}}
spec: {clusterIP: 10.96.7.7, ports: [{port: 80, targetPort: 8080}]}
---
apiVersion: v1
kind: Service
metadata: {name: labelled, labels: {service.kubernetes.io/service-proxy-name: userproxy}}
spec: {clusterIP: 10.96.7.8, ports: [{port: 80, targetPort: 8080}]}
"""
    + endpoint_slice("web")
    + endpoint_slice("labelled")
)
"""What the API server starts with."""


@contextmanager
def api_server(home: Namespace, folder: Path, rules: str, objects: str) -> Iterator[str]:
    """Run an API server over TLS; yields the URL where only `rules` hold. Token and certificate are in `folder`."""
    (folder / "rbac.yaml").write_text(rules)
    process = home.start(
        *(sys.executable, "-m", "tests.standalone.server_process", str(folder)),
        *("tls=1", "token=required", f"rbac={folder / 'rbac.yaml'}"),
        cwd=ROOT,
        stdout=subprocess.PIPE,
    )
    assert process.stdout
    urls = [process.stdout.readline().strip() for _ in range(2)]
    kubectl = ("kubectl", f"--kubeconfig={folder / 'kubeconfig'}", "apply", "--validate=false", "-f", "-")
    home.run(*kubectl, stdin=objects)
    pem = (folder / "server.pem").read_text()
    (folder / "token").chmod(0o644)  # as a kubelet does where the user of the Pod is not root
    (folder / "ca.crt").write_text(pem[pem.index("-----BEGIN CERTIFICATE") :])
    yield urls[1]


class Container(Agent):
    """userproxy as a container of a Pod."""

    def __init__(self, home: Namespace, url: str, account: Path, items: list[dict[str, Any]]) -> None:
        container = proxy_container(items)
        (account / "config.yaml").write_text(
            yaml.safe_dump({"apiVersion": API_VERSION, "kind": KIND, **settings(items)})
        )
        server = urlsplit(url)
        environment = {
            "HOME": "/",  # as container runtimes set it for users without one
            "PATH": "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin",
            "KUBERNETES_SERVICE_HOST": str(server.hostname),
            "KUBERNETES_SERVICE_PORT": str(server.port),
        }
        arguments = [
            word.replace("$(NODE_NAME)", "e2e-node").replace("/etc/userproxy", MOUNTED)
            for word in container["args"]
        ]
        health = settings(items).get("healthzBindAddress", f":{HEALTH_PORT}")
        self._health_port = int(health.rpartition(":")[2])
        self._home = home
        self._log = (account / "log").open("w+")
        command = (*restricted(container["securityContext"], account), *USERPROXY, *arguments, *DRAIN)
        self.process = home.start(
            *command, cwd=ROOT, env=environment, stdout=self._log, stderr=subprocess.STDOUT
        )

    def get(self, path: str, port: int = HEALTH_PORT) -> tuple[int, str]:
        """Ask where this one answers."""
        return super().get(path, self._health_port if port == HEALTH_PORT else port)


@dataclass(frozen=True)
class Cluster:
    """A node with an endpoint, and the API server that grants only the ClusterRole; `folder` is the service account's."""

    node: Namespace
    url: str
    folder: Path

    def kubectl(self, *words: str) -> str:
        """Ask as an admin, who may do everything."""
        return self.node.run("kubectl", f"--kubeconfig={self.folder / 'kubeconfig'}", *words)

    def helm_test(self, values: dict[str, Any]) -> None:
        """Run the containers of the chart's test Pod, one after the other, as `helm test` would."""
        pod = one(render(values), "Pod")["spec"]
        for container in pod["initContainers"] + pod["containers"]:
            before = restricted(container["securityContext"], self.folder)
            self.node.run(
                "env", "-C", str(ROOT), "HOME=/", *before, *USERPROXY, *container["args"], timeout=60
            )


@pytest.fixture(scope="module")
def cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cluster]:
    folder = tmp_path_factory.mktemp("cluster")
    folder.chmod(0o755)
    (folder / "index.html").write_text("here")
    with namespace("node") as node, api_server(node, folder, overlay_text("replace"), OBJECTS) as url:
        node.start(
            *(sys.executable, "-m", "http.server", "--bind", "127.0.9.1", "--directory", str(folder), "8080"),
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        yield Cluster(node, url, folder)


@pytest.mark.parametrize(
    ("name", "service", "address"),
    [
        ("alongside", "labelled", "10.96.7.8"),
        ("replace", "web", "10.96.7.7"),
        ("sidecar", "web", ""),
        ("sidecar-redirect", "web", "10.96.7.7"),
    ],
)
def test_a_container_serves_with_its_rights_only(
    cluster: Cluster, name: str, service: str, address: str
) -> None:
    with contextlib.closing(Container(cluster.node, cluster.url, cluster.folder, overlay(name))) as agent:
        agent.wait_ready(30)
        assert f"ready: capture {'redirect' if address else 'loopback'}" in agent.log
        host = address or agent.frontend(service)[0] + ":8080"
        answer = ("curl", "--silent", "--max-time", "2", f"http://{host}/")
        until(lambda: cluster.node.run(*answer, check=False) == "here", 20)
        if service == "web":
            until(lambda: "Misconfigured" in cluster.kubectl("describe", "service", "web"), 20)
        if name in ("alongside", "replace"):
            cluster.helm_test({"mode": name, "apiServer": {"host": "any"}})
        assert agent.end() == 0, agent.log
        assert "forbidden" not in agent.log
        assert "Traceback" not in agent.log


def test_what_the_role_does_not_grant_is_refused(cluster: Cluster) -> None:
    """So the test above cannot pass by an API server that grants everything."""
    token = (cluster.folder / "token").read_text().strip()
    ask = ("curl", "--silent", "--insecure", "--header", f"Authorization: Bearer {token}")
    for path, code in (("/api/v1/services", "200"), ("/api/v1/pods", "403"), ("/api/v1/events", "403")):
        shown = ("--output", "/dev/null", "--write-out", "%{http_code}", cluster.url + path)
        assert cluster.node.run(*ask, *shown) == code, path
