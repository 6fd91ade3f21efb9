"""kubectl with every kind at once: what is read, written, waited for and deleted, and commands that send protobuf."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path

import pytest

from tests.standalone.conftest import Client
from tests.standalone.test_kubectl import KUBECTL, Kubectl

pytestmark = pytest.mark.skipif(KUBECTL is None, reason="kubectl is not installed")

FILE = Path(__file__).parent / "data" / "every_kind.yaml"
ALL = str(FILE)
NAMES = (
    *("namespace/shop", "node/n1", "pod/web-1", "service/web", "endpoints/by-hand"),
    *("endpointslice.discovery.k8s.io/by-hand-1", "event/told", "servicecidr.networking.k8s.io/more"),
    "lease.coordination.k8s.io/leader",
)


@pytest.fixture
def kubectl(api: Client, tmp_path: Path) -> Kubectl:
    return Kubectl(api, tmp_path)


def plain(output: str) -> str:
    """What was printed, without the warnings about Endpoints."""
    return "\n".join(line for line in output.splitlines() if not line.startswith("Warning: "))


def said(output: str, word: str) -> bool:
    """Whether each of the nine objects had a line with this word."""
    return plain(output).splitlines() == [f"{name} {word}" for name in NAMES]


async def test_reading(kubectl: Kubectl) -> None:
    assert said(await kubectl("create", "-f", ALL), "created")
    formats = ("wide", "yaml", "json", "name", "jsonpath={.items[*].kind}")
    reads = [kubectl("get", "-f", ALL, "-o", each) for each in formats]
    table, as_yaml, as_json, names, kinds = await asyncio.gather(*reads)
    for heading in (
        "STATUS",
        "INTERNAL-IP",
        "NOMINATED NODE",
        "SELECTOR",
        "ADDRESSTYPE",
        "LAST SEEN",
        "CIDRS",
    ):
        assert heading in table
    assert "holderIdentity: me" in as_yaml
    assert len(json.loads(plain(as_json))["items"]) == 9
    assert plain(names).splitlines() == list(NAMES)
    assert plain(kinds).split()[3] == "Service"
    paged, selected, described, explained = await asyncio.gather(
        kubectl("get", "ns", "--chunk-size=2", "-o", "name"),
        kubectl("get", "po", "-A", "-l", "app=web,app!=x", "--field-selector", "status.phase=Running"),
        kubectl("describe", "-n", "shop", "svc/web", "pod/web-1", "node/n1", "endpointslice/by-hand-1"),
        kubectl("explain", "service.spec.ports.targetPort"),
    )
    assert len(paged.splitlines()) == 5
    assert selected.split()[-6:-4] == ["shop", "web-1"]
    for words in ("Port:                     <unset>  80/TCP", "Image:        nginx", "10.2.0.2"):
        assert words in described
    assert "<IntOrString>" in explained


async def test_writing(kubectl: Kubectl, tmp_path: Path) -> None:
    assert said(await kubectl("apply", "-f", ALL), "created")
    changed = tmp_path / "changed.yaml"
    changed.write_text(
        FILE.read_text().replace("hello", "again").replace("holderIdentity: me", "holderIdentity: you")
    )
    difference = await kubectl("diff", "-f", str(changed), fails=True)
    assert "+message: again" in difference
    assert "+  holderIdentity: you" in difference
    assert "holderIdentity: me" in await kubectl(
        "get", "lease", "-n", "shop", "leader", "-o", "yaml"
    )  # still
    applied = await kubectl("apply", "-f", str(changed))
    assert "event/told configured\n" in applied
    assert "node/n1 unchanged\n" in applied
    forced = ("--server-side", "--force-conflicts")
    assert said(await kubectl("apply", *forced, "-f", ALL), "serverside-applied")
    assert said(await kubectl("label", "-f", ALL, "tier=front"), "labeled")
    assert said(await kubectl("annotate", "-f", ALL, "a=b"), "annotated")
    patches = {
        "strategic": '{"metadata":{"labels":{"s":"1"}}}',
        "merge": '{"metadata":{"labels":{"s":"2"}}}',
        "json": '[{"op":"replace","path":"/metadata/labels/s","value":"3"}]',
    }
    for kind, patch in patches.items():
        assert said(await kubectl("patch", "-f", ALL, f"--type={kind}", "-p", patch), "patched")
    assert said(await kubectl("edit", "-n", "shop", "-f", ALL, editor="sed -i s/front/back/"), "edited")
    tiers = await kubectl("get", "-f", ALL, "-o", "jsonpath={.items[*].metadata.labels.tier}")
    assert plain(tiers).split() == ["back"] * 9
    assert said(await kubectl("replace", "-f", ALL), "replaced")
    listed = tmp_path / "list.yaml"
    items = FILE.read_text().replace("\n", "\n  ").replace("\n  ---\n  ", "\n- ")
    listed.write_text(f"apiVersion: v1\nkind: List\nitems:\n- {items}")
    assert "configured" in await kubectl("apply", "-f", str(listed))


async def test_waiting_and_deleting(api: Client, kubectl: Kubectl) -> None:
    await kubectl("create", "-f", ALL)
    ready = ("pod/web-1", "-n", "shop", "--timeout=10s")
    patch = '{"status":{"conditions":[{"type":"Ready","status":"False"}]}}'
    await kubectl("patch", "pod", "web-1", "-n", "shop", "--subresource=status", "-p", patch)
    async with asyncio.TaskGroup() as group:
        waiting = group.create_task(kubectl("wait", "--for=condition=Ready", *ready), name="wait")
        await kubectl("wait", "--for=condition=Ready=false", *ready)
        patch = patch.replace("False", "True")
        await kubectl("patch", "pod", "web-1", "-n", "shop", "--subresource=status", "-p", patch)
    assert "condition met" in waiting.result()
    shop = "/api/v1/namespaces/shop"
    wrong = {"preconditions": {"uid": "00000000-0000-0000-0000-000000000000"}}
    assert (await api.call("DELETE", f"{shop}/services/web", wrong))[0] == 409
    forced = await kubectl("delete", "pod", "web-1", "-n", "shop", "--grace-period=0", "--force")
    assert 'pod "web-1" force deleted' in forced
    deleted = await kubectl("delete", "svc,ep,endpointslices,ev,leases", "--all", "-n", "shop")
    for name in ("service", "endpoints", "event"):
        assert f'{name} "' in deleted
    assert await kubectl("delete", "ns/shop", "node/n1", "servicecidr/more", "--timeout=10s") == (
        'namespace "shop" deleted\nnode "n1" deleted\nservicecidr.networking.k8s.io "more" deleted\n'
    )
    assert (await kubectl("delete", "-f", ALL, fails=True)).count("NotFound") == 9


async def test_commands_that_send_protobuf(kubectl: Kubectl) -> None:
    made, *_rest = await asyncio.gather(
        kubectl("create", "service", "clusterip", "one", "--tcp=80:8080"),
        kubectl("create", "service", "clusterip", "two", "--clusterip=None"),
        kubectl("create", "service", "nodeport", "three", "--tcp=80", "--node-port=30080"),
        kubectl("create", "service", "loadbalancer", "four", "--tcp=80"),
        kubectl("create", "service", "externalname", "five", "--external-name=example.com"),
        kubectl("create", "namespace", "more"),
        kubectl("run", "pod-1", "--image=nginx", "--labels=app=web"),
    )
    assert made == "service/one created\n"
    table = await kubectl("get", "svc,ns,pod")
    rows = {line.split()[0]: line.split()[1:5] for line in table.splitlines() if line}
    assert rows["service/two"] == ["ClusterIP", "None", "<none>", "<none>"]
    assert rows["service/three"][::3] == ["NodePort", "80:30080/TCP"]
    assert rows["service/five"][:3] == ["ExternalName", "<none>", "example.com"]
    twice, dry, exposed, allowed = await asyncio.gather(
        kubectl("create", "service", "clusterip", "one", "--tcp=80", fails=True),
        kubectl("create", "service", "clusterip", "six", "--tcp=80", "--dry-run=server", "-o", "yaml"),
        kubectl("expose", "pod", "pod-1", "--name=seven", "--port=81"),
        kubectl("auth", "can-i", "delete", "services"),
    )
    assert 'services "one" already exists' in twice
    assert "clusterIP: 10.96." in dry
    assert exposed == "service/seven exposed\n"
    assert allowed == "yes\n"
    assert 'services "six" not found' in await kubectl("get", "svc", "six", fails=True)
