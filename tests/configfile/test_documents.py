"""Configuration files as text: both kinds, what is ignored, and errors that name file, line, field and the nearest one."""

from __future__ import annotations

import pytest

from tests.configfile.files import KUBEADM, kube_proxy, own
from userproxy.configfile.documents import read_settings, unmet
from userproxy.errors import UsageError


def test_the_file_of_kubeadm_as_it_is() -> None:
    found = read_settings(KUBEADM, "f")
    assert found.values == {
        "kubeconfig": "/var/lib/kube-proxy/kubeconfig.conf",
        "cluster_cidr": "10.244.0.0/16",
    }
    assert (found.notes, found.ignored) == ([], ["bindAddress"])


def test_both_kinds_in_any_order_and_ours_wins() -> None:
    theirs = kube_proxy("mode: iptables\nhostnameOverride: n1\niptables: {masqueradeAll: true}\n")
    ours = own("capture: route\nnoEndpoints: reject\nworkers: 2\nmanifests:\n")
    for text in (f"{theirs}---\n{ours}", f"---\n{ours}---\n{theirs}"):
        found = read_settings(text, "f")
        assert found.values == {
            "capture": "route",
            "hostname_override": "n1",
            "no_endpoints": "reject",
            "workers": "2",
        }
        assert found.ignored == ["iptables.masqueradeAll"]


def test_json() -> None:
    text = '{"apiVersion": "userproxy.dev/v1alpha1", "kind": "UserproxyConfiguration", "sidecar": true}'
    assert read_settings(text, "f").values == {"sidecar": True}


def test_values_without_a_counterpart_are_notes() -> None:
    found = read_settings(kube_proxy("mode: ipvs\nfeatureGates: {A: true}\niptables:\n"), "f")
    assert (found.values, found.ignored) == ({}, ["featureGates"])
    assert found.notes == ["mode 'ipvs' is ignored: there is no IPVS here, --capture decides"]


def test_fields_that_count_only_beside_others() -> None:
    values = {"cluster_cidr": "10.0.0.0/8", "balance": "round-robin"}
    assert list(unmet({"detectLocalMode": "", "mode": "ipvs"}, values)) == []
    assert len(values) == 2
    assert [note.split()[0] for note in unmet({"detectLocalMode": "NodeCIDR"}, values)] == [
        "clusterCIDR",
        "ipvs.scheduler",
    ]
    assert values == {}


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("", "f: holds no document; write at least `apiVersion: userproxy.dev/v1alpha1`"),
        ("a: [", r"f:\d: "),
        ("- a\n", "f:1: is not a mapping of fields"),
        ("kind: ConfigMap\napiVersion: v1\n", "f:1: kind 'ConfigMap' is not known.*its key config.conf"),
        ("kind: KubeProxyConfiguration\n", "f:1: apiVersion None of KubeProxyConfiguration is not known"),
        (own() + "---\n" + own(), "f:4: a second UserproxyConfiguration"),
        (own("noEndpoint: drop\n"), "f:3: field noEndpoint .* is not known; did you mean noEndpoints?"),
        (own("xyzzy: 1\n"), "f:3: field xyzzy of UserproxyConfiguration is not known; take it out"),
        (own("config: f\n"), "f:3: field config of"),
        (own("workers: 1\nworkers: 2\n"), "f:4: key 'workers' is given twice"),
        (own("sidecar: 1\n"), "f:3: field sidecar: 1 cannot be used; write true or false"),
        (kube_proxy("clusterCidr: x\n"), "f:3: field clusterCidr of .*did you mean clusterCIDR?"),
        (kube_proxy("kubeconfig: x\n"), "f:3: field kubeconfig .*did you mean clientConnection.kubeconfig?"),
        (kube_proxy("ipvs:\n  shceduler: rr\n"), "f:4: field ipvs.shceduler .*did you mean scheduler?"),
        (kube_proxy("iptables: 5\n"), "f:3: field iptables holds other fields, not 5"),
        (kube_proxy("mode: userspace\n"), "f:3: field mode: 'userspace' cannot be used; write iptables"),
    ],
)
def test_errors(text: str, says: str) -> None:
    with pytest.raises(UsageError, match=says) as caught:
        read_settings(text, "f")
    assert "\n" not in str(caught.value)
