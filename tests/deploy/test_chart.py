"""The Helm chart, rendered by Helm itself: valid, in substance the same as the kustomizations, careful with values."""

from __future__ import annotations

import re
from typing import Any

import pytest
import yaml

from tests.deploy.api_schema import complaints
from tests.deploy.chart import CHART, OF_THE_POD, render
from tests.deploy.chart import settings as settings_in_values
from tests.deploy.rendered import (
    granted,
    needs_kubectl,
    one,
    overlay,
    proxy_container,
    settings,
)
from userproxy import __version__
from userproxy.configfile.documents import read_settings
from userproxy.configfile.own_fields import field_name

helm = pytest.importorskip("helm_python", reason="Helm's library has no wheel for this machine")

Items = list[dict[str, Any]]
OF_OPERATORS = ("PodMonitor", "PrometheusRule")
REPLACE = {
    "mode": "replace",
    "apiServer": {"host": "cp.example"},
    "nodeSelector": {"userproxy.dev/replace": "true"},
}


def test_helm_finds_nothing_to_say_but_that_there_is_no_icon() -> None:
    for values in ({}, REPLACE):
        report = helm.lint(CHART, values, strict=True)
        assert report["errors"] == []
        assert [found["error"] for found in report["messages"]] == ["icon is recommended"]


def test_the_chart_has_the_version_of_the_program() -> None:
    meta = yaml.safe_load((CHART / "Chart.yaml").read_text())
    assert meta["version"] == meta["appVersion"] == __version__
    assert proxy_container(render())["image"] == f"userproxy:{__version__}"


@pytest.mark.parametrize(
    "values",
    [
        {},
        REPLACE,
        {
            "podMonitor": {"enabled": True},
            "prometheusRule": {"enabled": True},
            "grafanaDashboard": {"enabled": True},
        },
        {"imagePullSecrets": [{"name": "a"}], "affinity": {"nodeAffinity": {}}, "podAnnotations": {"a": "b"}},
        {"serviceAccount": {"create": False, "name": "own"}, "rbac": {"create": False}},
    ],
)
def test_the_api_takes_every_object(values: dict[str, Any]) -> None:
    items = [item for item in render(values) if item["kind"] not in OF_OPERATORS]
    assert [line for item in items for line in complaints(item)] == []


@needs_kubectl
@pytest.mark.parametrize(("mode", "values"), [("alongside", {}), ("replace", REPLACE)])
def test_the_chart_makes_what_the_kustomization_makes(mode: str, values: dict[str, Any]) -> None:
    chart, kustomization = render(values), overlay(mode)
    assert granted(one(chart, "ClusterRole")) == granted(one(kustomization, "ClusterRole"))
    assert settings(chart) == settings(kustomization)

    def pod(items: Items) -> dict[str, Any]:
        return dict(one(items, "DaemonSet")["spec"]["template"]["spec"])

    def container(items: Items) -> dict[str, Any]:
        # where the address of the API server comes from is all that differs
        return {key: value for key, value in proxy_container(items).items() if key not in ("env", "envFrom")}

    assert container(chart) == container(kustomization)
    assert pod(chart) | {"containers": []} == pod(kustomization) | {"containers": []}
    assert (
        one(chart, "DaemonSet")["spec"]["updateStrategy"]
        == one(kustomization, "DaemonSet")["spec"]["updateStrategy"]
    )


def test_the_address_of_the_api_server_reaches_the_proxy() -> None:
    variables = {one["name"]: one.get("value") for one in proxy_container(render(REPLACE))["env"]}
    assert variables["KUBERNETES_SERVICE_HOST"] == "cp.example"
    assert variables["KUBERNETES_SERVICE_PORT"] == "6443"
    assert "KUBERNETES_SERVICE_HOST" not in {one["name"] for one in proxy_container(render())["env"]}


@pytest.mark.parametrize(
    ("values", "complaint"),
    [
        (
            {"mode": "replace"},
            "apiServer.host: with mode=replace this proxy serves the API server's ClusterIP",
        ),
        ({"mode": "instead"}, "value must be one of 'alongside', 'replace'"),
        ({"config": {"captur": "route"}}, "additional properties 'captur' not allowed"),
        ({"config": {"capture": "magic"}}, "value must be one of 'auto', 'redirect'"),
        ({"config": {"drainTimeout": "soon"}}, "'soon' does not match pattern"),
        ({"config": {"maxConnections": "many"}}, "got string, want integer"),
        ({"config": {"kubeconfig": "/x"}}, "additional properties 'kubeconfig' not allowed"),
        ({"resource": {}}, "additional properties 'resource' not allowed"),
        ({"serviceAccount": {"create": False}}, "serviceAccount.name: name the service account to use"),
    ],
)
def test_a_mistake_in_values_is_told_before_anything_is_applied(
    values: dict[str, Any], complaint: str
) -> None:
    with pytest.raises(helm.HelmError, match=re.escape(complaint)):
        render(values)


def test_every_setting_can_be_given_and_is_read_as_given() -> None:
    """With its default as value, or the first of its choices; the proxy's own reader takes the file without a word."""
    given = {
        field_name(field.name): field.metadata["choices"][0] if field.metadata["choices"] else field.default
        for field in settings_in_values()
        if field.default != ""
    }
    items = render({"config": given})
    assert settings(items).items() >= given.items()
    (text,) = [item["data"]["config.yaml"] for item in items if "config.yaml" in item.get("data", {})]
    read = read_settings(text, "config.yaml")
    assert not {"config", *OF_THE_POD} & read.values.keys()
    assert read.values.keys() >= {field.name for field in settings_in_values() if field.default != ""}


@pytest.mark.parametrize(
    ("address", "probe"),
    [
        ("0.0.0.0:1", {"path": "/livez", "port": 1}),
        ("127.0.0.1:22", {"path": "/livez", "port": 22, "host": "127.0.0.1"}),
        ("[::1]:333", {"path": "/livez", "port": 333, "host": "::1"}),
        ("[::]:4444", {"path": "/livez", "port": 4444}),
    ],
)
def test_probes_follow_the_health_address(address: str, probe: dict[str, Any]) -> None:
    container = proxy_container(render({"config": {"healthzBindAddress": address}}))
    assert container["livenessProbe"]["httpGet"] == probe
    assert container["readinessProbe"]["httpGet"] == probe | {"path": "/readyz"}


def test_only_a_setting_that_needs_it_restarts_the_proxies() -> None:
    def template(**config: Any) -> Any:
        return one(render({"config": config}), "DaemonSet")["spec"]["template"]

    assert template(noEndpoints="reject", logLevel="debug") == template()
    assert template(capture="route") != template()


def test_metrics_are_reachable_where_they_are_scraped() -> None:
    items = render({"podMonitor": {"enabled": True}})
    assert settings(items)["metricsBindAddress"] == "0.0.0.0:10349"
    (endpoint,) = one(items, "PodMonitor")["spec"]["podMetricsEndpoints"]
    assert endpoint["relabelings"][0]["replacement"] == "$1:10349"
    assert settings(render())["metricsBindAddress"] == "127.0.0.1:10349"
    own = {"podMonitor": {"enabled": True}, "config": {"metricsBindAddress": "0.0.0.0:9000"}}
    (endpoint,) = one(render(own), "PodMonitor")["spec"]["podMetricsEndpoints"]
    assert endpoint["relabelings"][0]["replacement"] == "$1:9000"


@pytest.mark.parametrize(
    ("values", "agent"),
    [
        ({}, "127.0.0.1:10349"),
        (REPLACE, "127.0.0.1:10249"),
        ({"config": {"metricsBindAddress": "[::]:9"}}, "127.0.0.1:9"),
        ({"config": {"metricsBindAddress": "[::1]:9"}}, "[::1]:9"),
        ({"podMonitor": {"enabled": True}}, "127.0.0.1:10349"),
    ],
)
def test_helm_test_asks_the_agent_where_it_answers(values: dict[str, Any], agent: str) -> None:
    pod = one(render(values), "Pod")
    assert pod["metadata"]["annotations"]["helm.sh/hook"] == "test"
    containers = pod["spec"]["initContainers"] + pod["spec"]["containers"]
    assert [container["args"][0] for container in containers] == ["status", "test"]
    assert {container["args"][-1] for container in containers} == {f"--agent={agent}"}


def test_a_transparent_proxy_has_the_capability_for_it() -> None:
    def added(**config: Any) -> Any:
        return proxy_container(render({"config": config}))["securityContext"]["capabilities"]["add"]

    assert added(transparent="annotated") == ["NET_ADMIN", "NET_BIND_SERVICE", "NET_RAW"]
    assert added(transparent="off") == added() == ["NET_ADMIN", "NET_BIND_SERVICE"]


def test_releases_do_not_meet() -> None:
    names = [{item["metadata"]["name"] for item in render(name=name)} for name in ("a", "b", "userproxy")]
    assert names == [{name, f"{name}-test"} for name in ("a-userproxy", "b-userproxy", "userproxy")]
