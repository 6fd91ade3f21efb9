"""Texts of configuration files for tests."""

from __future__ import annotations

from pathlib import Path

from userproxy.configfile import kube_proxy_fields, own_fields

KUBEADM = (Path(__file__).parent / "kubeadm.yaml").read_text()


def kube_proxy(text: str = "") -> str:
    """A KubeProxyConfiguration with the fields of `text`."""
    return f"apiVersion: {kube_proxy_fields.API_VERSION}\nkind: {kube_proxy_fields.KIND}\n{text}"


def own(text: str = "") -> str:
    """A UserproxyConfiguration with the fields of `text`."""
    return f"apiVersion: {own_fields.API_VERSION}\nkind: {own_fields.KIND}\n{text}"
