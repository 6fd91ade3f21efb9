"""The table of kube-proxy's fields is complete, names settings that exist, and reads values as kube-proxy means them."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator
from typing import Any

import pytest
import yaml

from tests.configfile.files import KUBEADM
from userproxy.config import Config
from userproxy.configfile.kube_proxy_fields import FIELDS, Ignored, Unused, Used

NOT_WRITTEN_BY_KUBEADM = {
    "featureGates",
    "iptables.snatNodeInternalIP",
    "logging.format",
    "logging.options.json.splitStream",
    "logging.options.text.splitStream",
    "logging.vmodule",
    "windowsRunAsService",
}
"""Fields of types.go with omitempty, or newer than the file."""


def leaves(value: dict[str, Any], above: str = "") -> Iterator[str]:
    for name, inner in value.items():
        if isinstance(inner, dict):
            yield from leaves(inner, f"{above}{name}.")
        elif name not in ("kind", "apiVersion"):
            yield above + name


def test_every_field_is_in_the_table() -> None:
    assert set(FIELDS) == set(leaves(yaml.safe_load(KUBEADM))) | NOT_WRITTEN_BY_KUBEADM


def test_every_field_sets_what_exists_or_says_why_not() -> None:
    settings = {field.name for field in dataclasses.fields(Config)}
    for path, field in FIELDS.items():
        if isinstance(field, Used):
            assert field.setting in settings, path
        else:
            assert len(field.because) > 10, path


@pytest.mark.parametrize(
    ("path", "value", "result"),
    [
        ("clientConnection.kubeconfig", " /etc/k.conf ", "/etc/k.conf"),
        ("clientConnection.kubeconfig", "", None),
        ("mode", "", None),
        ("mode", "iptables", "redirect-iptables"),
        ("mode", "nftables", "redirect-nft"),
        ("nodePortAddresses", [], None),
        ("nodePortAddresses", ["primary"], "primary"),
        ("nodePortAddresses", ["10.0.0.0/8", "fd00::/8"], "10.0.0.0/8,fd00::/8"),
        ("clusterCIDR", "10.0.0.0/8, fd00::/8", "10.0.0.0/8,fd00::/8"),
        ("conntrack.udpTimeout", "0s", None),
        ("conntrack.udpTimeout", "1m30s", 90.0),
        ("iptables.localhostNodePorts", False, False),
        ("iptables.localhostNodePorts", "true", True),
        ("ipvs.scheduler", "", None),
        ("ipvs.scheduler", "wlc", "least-connections"),
        ("ipvs.scheduler", "rr", "round-robin"),
        ("logging.verbosity", 2, None),
        ("logging.verbosity", "5", "debug"),
        ("detectLocalMode", "ClusterCIDR", None),
    ],
)
def test_values(path: str, value: object, result: object) -> None:
    field = FIELDS[path]
    assert isinstance(field, Used)
    assert field.read(value) == result


@pytest.mark.parametrize(
    ("path", "value"), [("mode", "ipvs"), ("ipvs.scheduler", "sed"), ("detectLocalMode", "NodeCIDR")]
)
def test_values_without_a_counterpart_say_so(path: str, value: str) -> None:
    field = FIELDS[path]
    assert isinstance(field, Used)
    assert isinstance(field.read(value), Unused)


@pytest.mark.parametrize(
    ("path", "value"),
    [
        ("mode", "userspace"),
        ("mode", 5),
        ("detectLocalMode", "Magic"),
        ("nodePortAddresses", [5]),
        ("conntrack.udpTimeout", "soon"),
        ("conntrack.udpTimeout", []),
        ("logging.verbosity", "much"),
        ("hostnameOverride", ["a"]),
        ("iptables.localhostNodePorts", "perhaps"),
    ],
)
def test_values_that_mean_nothing(path: str, value: object) -> None:
    field = FIELDS[path]
    assert not isinstance(field, Ignored)
    with pytest.raises(ValueError):
        field.read(value)
