"""kubectl against this server: every command that people use on Services, with its exit code and what it prints."""

from __future__ import annotations

import asyncio
import json
import shutil
from pathlib import Path

import pytest

from tests.standalone.conftest import Client

KUBECTL = shutil.which("kubectl")
pytestmark = pytest.mark.skipif(KUBECTL is None, reason="kubectl is not installed")

WEB = """\
apiVersion: v1
kind: Service
metadata: {name: web, labels: {app: web}}
spec:
  selector: {app: web}
  ports:
  - {name: http, port: 80, targetPort: 8080}
"""
WEB_TWO_PORTS = WEB.replace("8080", "8081") + "  - {name: https, port: 443}\n"


class Kubectl:
    """Runs kubectl with a home and cache of its own."""

    def __init__(self, api: Client, home: Path) -> None:
        self._home = home
        self._server = api.url

    async def __call__(self, *words: str, fails: bool = False, editor: str = "sed -i s/8081/9091/") -> str:
        assert KUBECTL is not None
        environment = {
            "HOME": str(self._home),
            "KUBECONFIG": str(self._home / "none"),
            "PATH": "/usr/bin:/bin",
        }
        environment["KUBE_EDITOR"] = editor
        child = await asyncio.create_subprocess_exec(
            KUBECTL,
            f"--server={self._server}",
            *words,
            env=environment,
            stdin=asyncio.subprocess.DEVNULL,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.STDOUT,
        )
        try:
            async with asyncio.timeout(25):
                output, _nothing = await child.communicate()
        except TimeoutError:
            child.kill()
            await child.wait()
            raise
        text = output.decode()
        assert (child.returncode != 0) == fails, text
        return text

    def file(self, text: str) -> str:
        path = self._home / f"{abs(hash(text))}.yaml"
        path.write_text(text)
        return str(path)


@pytest.fixture
def kubectl(api: Client, tmp_path: Path) -> Kubectl:
    return Kubectl(api, tmp_path)


async def test_apply_on_the_client_side(kubectl: Kubectl) -> None:
    one, two = kubectl.file(WEB), kubectl.file(WEB_TWO_PORTS)
    assert await kubectl("apply", "-f", one) == "service/web created\n"
    assert await kubectl("apply", "-f", two) == "service/web configured\n"
    assert await kubectl("apply", "-f", two) == "service/web unchanged\n"
    assert "-    targetPort: 8081" in await kubectl("diff", "-f", one, fails=True)
    assert await kubectl("apply", "-f", one) == "service/web configured\n"
    found = json.loads(await kubectl("get", "svc", "web", "-o", "json"))
    assert [port["targetPort"] for port in found["spec"]["ports"]] == [8080]
    assert 'unknown field "spec.nosuch"' in await kubectl(
        "apply", "-f", kubectl.file(WEB + "  nosuch: 1\n"), fails=True
    )


async def test_apply_on_the_server_side(kubectl: Kubectl) -> None:
    one, two = kubectl.file(WEB), kubectl.file(WEB_TWO_PORTS)
    assert await kubectl("apply", "--server-side", "-f", one) == "service/web serverside-applied\n"
    conflict = await kubectl("apply", "--server-side", "--field-manager=other", "-f", two, fails=True)
    assert 'conflict with "kubectl": .spec.ports[port=80,protocol="TCP"].targetPort' in conflict
    await kubectl("apply", "--server-side", "--field-manager=other", "--force-conflicts", "-f", two)
    assert await kubectl("get", "svc", "web", "-o", "jsonpath={.spec.ports[*].targetPort}") == "8081 443"


async def test_server_side_apply_takes_over_from_client_side(kubectl: Kubectl) -> None:
    await kubectl("apply", "-f", kubectl.file(WEB_TWO_PORTS))
    conflict = await kubectl("apply", "--server-side", "-f", kubectl.file(WEB), fails=True)
    assert 'conflict with "kubectl-client-side-apply" using v1' in conflict
    await kubectl("apply", "--server-side", "-f", kubectl.file(WEB_TWO_PORTS))
    await kubectl("apply", "--server-side", "-f", kubectl.file(WEB))
    assert await kubectl("get", "svc", "web", "-o", "jsonpath={.spec.ports[*].targetPort}") == "8080"


async def test_get(kubectl: Kubectl) -> None:
    await kubectl("create", "-f", kubectl.file(WEB))
    table = (await kubectl("get", "svc", "-o", "wide")).splitlines()
    heading = ["NAME", "TYPE", "CLUSTER-IP", "EXTERNAL-IP", "PORT(S)", "AGE", "SELECTOR"]
    assert table[0].split() == heading
    row = table[1].split()
    assert (row[0], row[1], row[3], row[4], row[6]) == ("web", "ClusterIP", "<none>", "80/TCP", "app=web")
    assert "kind: Service\n" in await kubectl("get", "svc", "web", "-o", "yaml")
    assert await kubectl("get", "svc", "-o", "name") == "service/web\n"
    assert "web" in await kubectl(
        "get", "svc", "-l", "app in (web)", "--field-selector", "spec.type=ClusterIP"
    )
    assert "No resources found" in await kubectl("get", "svc", "-l", "app!=web")
    everything = await kubectl("get", "ns,no,po,svc,ep,endpointslices,ev,leases,servicecidrs", "-A")
    assert "namespace/kube-system" in everything
    assert "servicecidr.networking.k8s.io/kubernetes" in everything
    assert 'services "none" not found' in await kubectl("get", "svc", "none", fails=True)
    assert "Endpoints:                <none>" in await kubectl("describe", "svc", "web")


async def test_get_follows_changes(api: Client, kubectl: Kubectl) -> None:
    await kubectl("create", "-f", kubectl.file(WEB))
    async with asyncio.TaskGroup() as group:
        task = group.create_task(kubectl("get", "svc", "-w", "--request-timeout=3s"), name="get -w")
        async with asyncio.timeout(10):
            while not api.server.watches:
                await asyncio.sleep(0.02)
        await kubectl("delete", "svc", "web")
    assert [line.split()[0] for line in task.result().splitlines()[:3]] == ["NAME", "web", "web"]


async def test_small_changes(kubectl: Kubectl) -> None:
    await kubectl("apply", "-f", kubectl.file(WEB_TWO_PORTS))
    assert await kubectl("label", "svc", "web", "tier=front") == "service/web labeled\n"
    assert "already has a value" in await kubectl("label", "svc", "web", "tier=back", fails=True)
    assert await kubectl("annotate", "svc", "web", "a=b") == "service/web annotated\n"
    for kind, patch in (
        ("strategic", '{"spec":{"ports":[{"port":80,"targetPort":9}]}}'),
        ("merge", '{"metadata":{"labels":{"x":"y"}}}'),
        ("json", '[{"op":"remove","path":"/metadata/labels/x"}]'),
    ):
        assert await kubectl("patch", "svc", "web", f"--type={kind}", "-p", patch) == "service/web patched\n"
    status = '{"status":{"loadBalancer":{"ingress":[{"ip":"192.0.2.1"}]}}}'
    await kubectl("patch", "svc", "web", "--subresource=status", "--type=merge", "-p", status)
    assert await kubectl("get", "svc", "web", "-o", "jsonpath={.spec.ports[*].targetPort}") == "9 443"
    assert "web replaced" in await kubectl("replace", "-f", kubectl.file(WEB_TWO_PORTS))
    assert await kubectl("edit", "svc", "web") == "service/web edited\n"
    assert await kubectl("get", "svc", "web", "-o", "jsonpath={.spec.ports[0].targetPort}") == "9091"


async def test_expose_wait_and_delete(kubectl: Kubectl) -> None:
    await kubectl("create", "-f", kubectl.file(WEB))
    assert await kubectl("expose", "svc", "web", "--name=web2", "--port=81") == "service/web2 exposed\n"
    wanted = "--for=jsonpath={.spec.type}=ClusterIP"
    assert "condition met" in await kubectl("wait", "svc", "web", wanted, "--timeout=5s")
    assert await kubectl("delete", "svc", "web") == 'service "web" deleted\n'
    assert await kubectl("delete", "svc", "--all") == 'service "web2" deleted\n'
    assert "NotFound" in await kubectl("delete", "svc", "web", fails=True)


async def test_what_the_server_says_about_itself(kubectl: Kubectl) -> None:
    resources = await kubectl("api-resources")
    assert {line.split()[0] for line in resources.splitlines()[1:]} == {
        *("endpoints", "endpointslices", "events", "leases", "namespaces"),
        *("nodes", "pods", "selfsubjectaccessreviews", "selfsubjectrulesreviews", "servicecidrs", "services"),
    }
    assert "Server Version: v1.36.2" in await kubectl("version")
    assert "Port of the Pods" in await kubectl("explain", "service.spec.ports.targetPort")
    assert "addressType" in await kubectl("explain", "endpointslice", "--recursive")
