"""Every kustomization renders, is valid for the API, and says what a node-critical, least-privileged agent needs."""

from __future__ import annotations

from typing import Any

import pytest
import yaml

from tests.deploy.api_schema import complaints
from tests.deploy.rendered import (
    DEPLOY,
    OVERLAYS,
    granted,
    needs_kubectl,
    one,
    overlay,
    proxy_container,
    settings,
)
from userproxy import __version__
from userproxy.config import settings_of
from userproxy.configfile.documents import read_settings
from userproxy.kube.cluster import watched_resources
from userproxy.setting import flag

pytestmark = needs_kubectl


@pytest.mark.parametrize("name", OVERLAYS)
def test_the_api_takes_every_object(name: str) -> None:
    assert [line for item in overlay(name) for line in complaints(item)] == []


@pytest.mark.parametrize(
    ("item", "complaint"),
    [
        ({"apiVersion": "v1", "kind": "Gadget"}, "v1 Gadget: a kind that is not known here"),
        ({"spec": {"replicas": 1}}, "DaemonSet.spec.replicas: no such field in V1DaemonSetSpec"),
        ({"spec": {"minReadySeconds": "1"}}, "DaemonSet.spec.minReadySeconds: '1' is not int"),
        ({"spec": {"minReadySeconds": True}}, "DaemonSet.spec.minReadySeconds: True is not int"),
        ({"metadata": {"labels": {"a": 1}}}, "DaemonSet.metadata.labels.a: 1 is not str"),
        ({"metadata": {"labels": ["a"]}}, "DaemonSet.metadata.labels: ['a'] is not a map"),
        ({"metadata": {"finalizers": "a"}}, "DaemonSet.metadata.finalizers: 'a' is not a list"),
        ({"metadata": "x"}, "DaemonSet.metadata: 'x' is not an object"),
    ],
)
def test_the_schema_finds_mistakes(item: dict[str, Any], complaint: str) -> None:
    assert complaint in complaints({"apiVersion": "apps/v1", "kind": "DaemonSet", **item})


def test_the_schema_demands_what_the_api_demands() -> None:
    without_port = {"containers": [{"name": "a", "livenessProbe": {"httpGet": {"path": "/livez"}}}]}
    (line,) = complaints({"apiVersion": "v1", "kind": "Pod", "spec": without_port})
    assert line.startswith("Pod.spec.containers[0].livenessProbe.httpGet: Invalid value for `port`")


@pytest.mark.parametrize("name", OVERLAYS)
def test_the_image_is_of_this_version(name: str) -> None:
    assert proxy_container(overlay(name))["image"] == f"userproxy:{__version__}"


@pytest.mark.parametrize("name", OVERLAYS)
def test_arguments_are_flags_of_run(name: str) -> None:
    command, *flags = proxy_container(overlay(name))["args"]
    assert command == "run"
    assert {word.partition("=")[0] for word in flags} <= {flag(field.name) for field in settings_of("run")}


@pytest.mark.parametrize("name", OVERLAYS)
def test_rights_are_what_the_watches_and_events_need_and_no_more(name: str) -> None:
    """That they are enough is shown by `test_containers`, which runs with nothing else."""
    wanted = {("", "events", "create")}
    for resource in watched_resources("any-node", ""):
        group, _, kind = resource.path.removeprefix("/apis/").removeprefix("/api/").rpartition("/")
        wanted |= {(group.rpartition("/")[0], kind, verb) for verb in ("list", "watch")}
    assert granted(one(overlay(name), "ClusterRole")) == wanted


@pytest.mark.parametrize("name", OVERLAYS)
def test_the_rights_go_to_the_account_of_the_pod(name: str) -> None:
    items = overlay(name)
    (workload,) = [item for item in items if item["kind"] in ("DaemonSet", "Deployment")]
    pod, binding = workload["spec"]["template"]["spec"], one(items, "ClusterRoleBinding")
    account = one(items, "ServiceAccount")["metadata"]
    assert pod["serviceAccountName"] == account["name"]
    assert pod["automountServiceAccountToken"]
    assert account["namespace"] == workload["metadata"]["namespace"]
    where = {"name": account["name"], "namespace": account["namespace"]}
    assert binding["subjects"] == [{"kind": "ServiceAccount", **where}]
    assert binding["roleRef"]["name"] == one(items, "ClusterRole")["metadata"]["name"]


def test_nodes_are_served_before_all_else_and_updated_a_few_at_a_time() -> None:
    spec = one(overlay("replace"), "DaemonSet")["spec"]
    pod = spec["template"]["spec"]
    assert spec["updateStrategy"]["rollingUpdate"] == {"maxUnavailable": "10%"}
    assert pod["hostNetwork"]
    assert pod["priorityClassName"] == "system-node-critical"
    assert pod["tolerations"] == [{"operator": "Exists"}]
    assert pod["dnsPolicy"] == "Default"
    assert pod["securityContext"] == {"seccompProfile": {"type": "RuntimeDefault"}}
    assert pod["containers"][0]["resources"].keys() == {"requests", "limits"}


@pytest.mark.parametrize(
    ("name", "added", "user"),
    [
        ("alongside", ["NET_ADMIN", "NET_BIND_SERVICE"], 0),
        ("replace", ["NET_ADMIN", "NET_BIND_SERVICE"], 0),
        ("sidecar", [], 65532),
        ("sidecar-redirect", ["NET_ADMIN"], 0),
    ],
)
def test_capabilities_are_the_few_that_are_needed(name: str, added: list[str], user: int) -> None:
    context = proxy_container(overlay(name))["securityContext"]
    assert context["capabilities"].get("add", []) == added
    assert context["capabilities"]["drop"] == ["ALL"]
    assert context["runAsUser"] == user
    assert context["readOnlyRootFilesystem"]
    assert context["allowPrivilegeEscalation"] is False


@pytest.mark.parametrize("name", OVERLAYS)
def test_probes_ask_where_the_proxy_answers(name: str) -> None:
    container = proxy_container(overlay(name))
    health = settings(overlay(name)).get("healthzBindAddress", "0.0.0.0:10256")
    host, _, port = health.rpartition(":")
    probes = {kind: probe["httpGet"] for kind, probe in container.items() if kind.endswith("Probe")}
    first = "startupProbe" if name.startswith("sidecar") else "readinessProbe"
    paths = {kind: probe["path"] for kind, probe in probes.items()}
    assert paths == {first: "/readyz", "livenessProbe": "/livez"}
    for probe in probes.values():
        assert str(probe["port"]) == port
        assert probe.get("host", "0.0.0.0") == host


@pytest.mark.parametrize("name", ["alongside", "replace"])
def test_the_settings_are_read_from_where_they_are_mounted(name: str) -> None:
    items = overlay(name)
    (text,) = [item["data"]["config.yaml"] for item in items if "config.yaml" in item.get("data", {})]
    assert read_settings(text, "config.yaml").ignored == []
    (mount,) = proxy_container(items)["volumeMounts"]
    (volume,) = one(items, "DaemonSet")["spec"]["template"]["spec"]["volumes"]
    assert f"--config={mount['mountPath']}/config.yaml" in proxy_container(items)["args"]
    assert (mount["name"], volume["configMap"]["name"]) == (volume["name"], "userproxy")


def test_next_to_kube_proxy_nothing_of_its_is_taken() -> None:
    assert settings(overlay("alongside")) == {
        "serviceProxyName": "userproxy",
        "healthzBindAddress": "127.0.0.1:10356",
        "metricsBindAddress": "127.0.0.1:10349",
    }


def test_instead_of_kube_proxy_the_api_server_has_another_address() -> None:
    items = overlay("replace")
    (source,) = proxy_container(items)["envFrom"]
    name = source["configMapRef"]["name"]
    (config,) = [item for item in items if item["kind"] == "ConfigMap" and item["metadata"]["name"] == name]
    assert config["data"].keys() == {"KUBERNETES_SERVICE_HOST", "KUBERNETES_SERVICE_PORT"}
    assert settings(items) == {}


def test_either_kube_proxy_or_we_are_on_a_node() -> None:
    patch = yaml.safe_load((DEPLOY / "kustomize/overlays/replace/kube-proxy-patch.yaml").read_text())
    whole = {"apiVersion": "apps/v1", "kind": "DaemonSet", **patch}
    whole["spec"] |= {"selector": {}}
    assert [line for line in complaints(whole) if "`containers`" not in line] == []
    affinity = patch["spec"]["template"]["spec"]["affinity"]["nodeAffinity"]
    ((term,),) = [
        one["matchExpressions"]
        for one in affinity["requiredDuringSchedulingIgnoredDuringExecution"]["nodeSelectorTerms"]
    ]
    assert (term["operator"], term["values"]) == ("NotIn", ["true"])
    ours = one(overlay("replace"), "DaemonSet")["spec"]["template"]["spec"]["nodeSelector"]
    assert ours[term["key"]] == "true"
